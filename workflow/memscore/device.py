"""Where to compute: config `device`, and what this machine has."""

from pathlib import Path

from memscore.errors import InputError

# There where a job can reach an NVIDIA GPU: torch takes two seconds to import and say so.
DRIVER = Path("/dev/nvidiactl")


def of_networks(name: str) -> str:
    """torch's device for networks: `cuda` where there is a GPU and `cpu` elsewhere for `auto`, else the name itself."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"config: device: {name!r}, but torch sees no GPU here; use auto or cpu")
    return name


def of_scores(name: str) -> str | None:
    """torch's device for scores, where the job has a GPU and the config does not say `cpu`; None for NumPy.

    Scores are never refused for want of a GPU: on a cluster they run on nodes without.
    """
    if name == "cpu" or not DRIVER.exists():
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    return "cuda" if name == "auto" else name
