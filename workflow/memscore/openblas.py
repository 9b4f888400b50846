"""Kernels for NumPy's OpenBLAS on processors that are newer than it.

NumPy 1.26, the last that Brain-Score's code can have, brings OpenBLAS 0.3.23, which takes a processor that it does not
know by name for a Pentium 4 (`Prescott`). On an Intel of family 6, model 207 its products ran at a fifth of their
speed, and numpy.linalg.qr of 3 million rows was orthogonal to 1e-3 only. What a processor can do says enough.
"""

from pathlib import Path

AVX512 = {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"}
AVX2 = {"avx2", "fma"}


def environment(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """What to set before NumPy is loaded; nothing where the processor is another kind or the system does not say."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    for kernels, needed in {"SkylakeX": AVX512, "Haswell": AVX2}.items():
        if needed <= flags:
            return {"OPENBLAS_CORETYPE": kernels}
    return {}


if __name__ == "__main__":
    print(environment().get("OPENBLAS_CORETYPE", ""))
