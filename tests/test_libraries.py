"""What jobs are started with: kernels by what a processor can do, memory that stays, threads that sleep."""

import subprocess
import sys

import numpy as np
import pytest

from memscore import libraries

AVX2 = "fpu sse2 fma avx avx2"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"


@pytest.mark.parametrize(
    ("flags", "kernels"),
    [
        (AVX512, {"OPENBLAS_CORETYPE": "SkylakeX"}),
        (AVX512.removesuffix(" avx512vl"), {"OPENBLAS_CORETYPE": "Haswell"}),
        (AVX2, {"OPENBLAS_CORETYPE": "Haswell"}),
        ("fpu sse2 avx", {}),
        ("", {}),
    ],
)
def test_by_flags(tmp_path, flags, kernels):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        f"processor\t: 0\nmodel name\t: avx2 fma\nflags\t\t: {flags}\nbugs\t\t: none\n\nprocessor\t: 1\n"
    )
    assert libraries.kernels(cpuinfo) == kernels


def test_another_processor_or_system(tmp_path):
    (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    assert libraries.kernels(tmp_path / "arm") == {}
    assert libraries.kernels(tmp_path / "none") == {}


@pytest.mark.slow
def test_qr_of_millions_of_rows():
    """Wrong with the kernels that an OpenBLAS older than the processor falls back on."""
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3_300_000, 8)))
    np.testing.assert_allclose(q.T @ q, np.eye(8), atol=1e-10)


AGAIN_AND_AGAIN = """
import resource
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        b"x" * 100_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_that_is_freed_stays():
    """Pages of 4 kB that the system hands out anew, for a block as large as a layer's maps of a batch."""
    without, told = (
        int(subprocess.check_output([sys.executable, "-c", AGAIN_AND_AGAIN], env=environment))
        for environment in ({}, libraries.MEMORY)
    )
    assert told < 100 < 100_000 < without


def test_libraries_follow():
    """In a process of its own, as a job's is; of its waiting threads libgomp says itself that they sleep."""
    code = "import torch, threadpoolctl; print(threadpoolctl.threadpool_info())"
    told = libraries.environment() | {"OMP_DISPLAY_ENV": "true"}
    run = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=True)
    assert libraries.kernels().get("OPENBLAS_CORETYPE", "") in run.stdout
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in run.stderr
