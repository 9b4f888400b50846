"""Images of a stimulus set: which they are, as viewers saw them, and as pixels at a network's input size."""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from pillow_heif import register_heif_opener

from memscore.errors import InputError
from memscore.files import replacing, reserve
from memscore.stimuli.state import files_in
from memscore.stimuli.tables import read_table

register_heif_opener()  # HEIC, in which telephones save photographs
IMAGE_SUFFIXES = (".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Of 255: what is not brighter in a file of 16 bits may have been written with 8, 12 or 14, whose white would be dark.
BRIGHTEST_OF_14_BITS = 64
SIXTEEN_BITS = re.compile(r"(?<!BGR);16")  # in Pillow's names of how pixels lie; BGR;16 has 16 in three channels
RESAMPLING = {name.lower(): value for name, value in Image.Resampling.__members__.items()}


def images_of_table(path: str | Path) -> list[Path]:
    """The images that the stimulus table at `path` names."""
    return [Path(path).parent / image for image in read_table(path).path]


def images_in_folder(folder: str | Path) -> list[Path]:
    """The images in a folder and its subfolders, without hidden files."""
    return [file for file in files_in(folder) if file.suffix.lower() in IMAGE_SUFFIXES]


def references(images: list[Path], n: int, source: str) -> pd.DataFrame:
    """The stimulus table of `n` of the images, evenly spaced in the order of their paths.

    Of ImageNet's validation images, in a folder per class, 1,000 are the first of each class: what Brain-Score
    takes. Raises InputError if there are fewer than `n`; `source` is where they came from.
    """
    images = sorted({image.absolute() for image in images})
    if len(images) < n:
        raise InputError(
            f"config: reduction: pca_images: {source} has {len(images)} images, pca: {n} needs as many; "
            "name more images, or lower pca"
        )
    chosen = [str(images[i * len(images) // n]) for i in range(n)]
    return pd.DataFrame({"stimulus_id": chosen, "path": chosen})


def load_image(path: str | Path, upright: bool = True) -> Image.Image:
    """An image as viewers saw it, in RGB: transparent parts on white, 16-bit scaled to 8.

    upright : turn it by its EXIF tag; if not, it is as it is stored, and as torchvision and Brain-Score read images

    Raises InputError for what is missing, truncated, empty or not an image, and where nothing says what white is.
    """
    try:
        with Image.open(path) as image:
            # Of 16 bits in colour Pillow keeps the upper 8, and says so before it reads them.
            deep = image.mode.startswith("I") or any(SIXTEEN_BITS.search(str(tile.args)) for tile in image.tile)
            # Pillow scales what is below 65535 in a PGM, whose header says what white is.
            unknown = image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM"))
            image.load()
            image = ImageOps.exif_transpose(image) if upright else image
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such image; correct the path in the stimulus table") from None
    except Exception as error:
        empty = Path(path).is_file() and Path(path).stat().st_size == 0
        reason = "the file is empty" if empty else str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as an image ({reason}); replace it or remove its line") from error
    if unknown:
        kind = "floating-point numbers" if image.mode == "F" else "numbers of 32 bits, or with a sign"
        raise InputError(f"{path}: holds {kind}, whose white is not known; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    if deep and brightest(image.convert("RGB")) <= BRIGHTEST_OF_14_BITS:
        raise InputError(
            f"{path}: holds 16 bits, of which at most the lower 14 are used, and would be too dark; scale it to 16 "
            "bits, or save it with 8"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def brightest(image: Image.Image) -> int:
    """The highest value, of 255, in any channel of an image in RGB."""
    return max(highest for _, highest in image.getextrema())


def decode(image: Path, size: Sequence[int], interpolation: str, upright: bool = True) -> np.ndarray | InputError:
    """An image at a network's (height, width), uint8 (height, width, 3); of one that cannot be read, the error."""
    height, width = size
    try:
        return np.asarray(load_image(image, upright).resize((width, height), RESAMPLING[interpolation]))
    except InputError as error:
        return error


def write_pixels(
    path: str | Path,
    images: list[Path],
    size: tuple[int, int],
    interpolation: str,
    progress: Callable[[int], None] = lambda done: None,
    threads: int = 1,
    upright: bool = True,
) -> None:
    """Decode (`load_image`) and resize images into a uint8 .npy of shape (n_stimuli, height, width, 3).

    The whole image is resized to the network's input, as Brain-Score does and as LaMem's square images ask:
    a centre crop would hide part of what the viewer remembered.
    """
    bad = []
    with replacing(path) as temporary, ThreadPoolExecutor(threads) as pool:
        pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(images), *size, 3))
        # Claimed at once: a disk that is full later would kill the job without a word.
        with open(temporary, "r+b") as file:
            reserve(file, os.path.getsize(temporary))
        for row, decoded in enumerate(pool.map(lambda image: decode(image, size, interpolation, upright), images)):
            if isinstance(decoded, InputError):
                bad.append(str(decoded))
            else:
                pixels[row] = decoded
            progress(row + 1)
        pixels.flush()
        del pixels
        if bad:
            raise InputError(bad[0] + (f" (and {len(bad) - 1} more images)" if len(bad) > 1 else ""))
