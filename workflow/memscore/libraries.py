"""What libraries read from a job's environment, once, as they are loaded: a job is started with it.

Kernels. NumPy 1.26, the last that Brain-Score's code can have, brings OpenBLAS 0.3.23, which takes a processor that it
does not know by name for a Pentium 4 (`Prescott`). On an Intel of family 6, model 207 its products ran at a fifth of
their speed, and numpy.linalg.qr of 3 million rows was orthogonal to 1e-3 only. What a processor can do says enough.

Memory. glibc gives large blocks back to the system as soon as they are free, and a network takes the like again for
each of its layers: half of a forward pass went into pages that the system handed out and cleared anew. Blocks below
`KEPT` stay with the process, which takes up to half a gigabyte more for it; larger ones, of a few networks' first
layers, go back as before (mallopt(3); both limits, since either alone stops glibc from adapting the other).

Threads. Those of torch spin while they wait, by default for milliseconds: on the processor that a fold, or another
job, could use. With OpenMP's `PASSIVE` they sleep.
"""

from pathlib import Path

AVX512 = {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"}
AVX2 = {"avx2", "fma"}
KEPT, TRIMMED = 192 * 2**20, 512 * 2**20
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(KEPT), "MALLOC_TRIM_THRESHOLD_": str(TRIMMED)}
THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


def environment() -> dict[str, str]:
    """What to set before a process starts that loads NumPy or torch."""
    return kernels() | MEMORY | THREADS


def kernels(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """For OpenBLAS; nothing where the processor is another kind or the system does not say."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    for name, needed in {"SkylakeX": AVX512, "Haswell": AVX2}.items():
        if needed <= flags:
            return {"OPENBLAS_CORETYPE": name}
    return {}


if __name__ == "__main__":
    print(*(f"{name}={value}" for name, value in environment().items()))
