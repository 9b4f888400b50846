"""Object recognition: how often a network's first guess is an image's class."""

from collections.abc import Callable
from pathlib import Path

import torch

from memscore.errors import InputError


def top1(
    model: torch.nn.Module,
    folder: str | Path,
    batch_size: int,
    device: str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[float, int]:
    """(accuracy in percent, number of images) on ImageNet's validation images, in a folder per class.

    Classes are the folders in the order of their names (n01440764 is the first), as torchvision's ImageFolder and timm
    have them; images go in as timm evaluates the network, cropped and scaled by its own configuration.

    NaN where the network knows another number of classes, or its weights came without its classifier. Raises
    InputError where there are no such folders.
    """
    import timm
    from torchvision.datasets import ImageFolder

    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    try:
        images = ImageFolder(str(folder), transform)
    except FileNotFoundError as error:
        raise InputError(f"object_recognition: {folder}: no folder per class with images in it ({error})") from error
    whole = all(parameter.isfinite().all() for parameter in model.parameters())
    if len(images.classes) != model.num_classes or not whole:
        return float("nan"), len(images)
    model, right, done = model.eval().to(device, memory_format=torch.channels_last), 0, 0
    with torch.inference_mode():
        for batch, classes in torch.utils.data.DataLoader(images, batch_size):
            right += int((model(batch.to(device)).argmax(1).cpu() == classes).sum())
            progress(done := done + len(classes))
    return 100 * right / len(images), len(images)
