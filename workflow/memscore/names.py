"""What the name of a benchmark says."""


def stimulus_set_of(benchmark: str) -> str:
    """`MajajHong2015public` of `MajajHong2015public.V4-pls`: benchmarks with one prefix share their stimuli."""
    return benchmark.partition(".")[0]


def region(benchmark: str) -> str:
    """`V4` of `MajajHong2015public.V4-pls`: the visual area a benchmark names; the whole name where it names none."""
    return benchmark.partition(".")[2].partition("-")[0] or benchmark
