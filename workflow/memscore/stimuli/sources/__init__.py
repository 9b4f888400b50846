"""Where stimulus sets and benchmarks come from: one module per source."""
