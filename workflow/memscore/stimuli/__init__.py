"""Stimulus sets: images with what people remember of them or how neurons responded, from published and own sources.

Their tables, splits, pixels and benchmark files are all that later stages see.
"""

__all__ = ["benchmarks", "consistency", "duplicates", "inspection", "pixels", "selection", "splits", "state", "tables"]
