"""What names say: a benchmark's, a tuned model's."""

# Between the name of a model and the split that it is fine-tuned on.
TUNED = ".tuned-"


def stimulus_set_of(benchmark: str) -> str:
    """`MajajHong2015public` of `MajajHong2015public.V4-pls`: benchmarks with one prefix share their stimuli."""
    return benchmark.partition(".")[0]


def region(benchmark: str) -> str:
    """`V4` of `MajajHong2015public.V4-pls`: the visual area a benchmark names; the whole name where it names none."""
    return benchmark.partition(".")[2].partition("-")[0] or benchmark
