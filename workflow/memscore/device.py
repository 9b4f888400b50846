"""Where to compute: config `device`, and what this machine has."""

import platform
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


def kind(name: str) -> str:
    """What networks run on (`of_networks`): the GPU's name, or the processor's."""
    device = of_networks(name)
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    models = [line.partition(":")[2].strip() for line in read_lines("/proc/cpuinfo") if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def read_lines(path: str) -> list[str]:
    """Of a text file; none where it is not there."""
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def shared_card(name: str) -> int:
    """How many of this machine's GPUs a job takes, as seen without torch: 0 where there is none, or none is wanted."""
    return int(name != "cpu" and DRIVER.exists())
