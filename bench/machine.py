"""The machine that a bench runs on, in words, and how many threads everything gets."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

THREADS = len(os.sched_getaffinity(0))


def processor() -> str:
    """The processor's name, as the kernel has it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def synchronise(device: str) -> None:
    """Wait for what a GPU was given to do: what is timed there has only been started."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def memory() -> float:
    """GB of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def description() -> str:
    """One sentence."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "numpy", "scikit-learn", "snakemake"))
    return f"{THREADS} cores of {processor()}, {memory():.0f} GB; Python {platform.python_version()}, {versions}."
