"""Where to compute: config `device`, and what this machine has."""

from pathlib import Path

from memscore.errors import InputError

# There where a process can reach an NVIDIA GPU: torch takes two seconds to import and say so.
DRIVER = Path("/dev/nvidiactl")


def of_networks(name: str) -> str:
    """torch's device for networks: `cuda` where there is a GPU and `cpu` elsewhere for `auto`, else the name itself."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"config: device: {name!r}, but torch sees no GPU here; use auto or cpu")
    return name


def shared_card(name: str) -> int:
    """How many of this machine's GPUs a job takes, as seen without torch: 0 where there is none, or none is wanted."""
    return int(name != "cpu" and DRIVER.exists())
