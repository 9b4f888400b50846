"""What each image file of a stimulus set is: whether it can be read, how large it is, and what it looks like."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn

from memscore.errors import InputError
from memscore.files import sha256
from memscore.stimuli import pixels, tables
from memscore.stimuli.state import of_file

# `n_bytes` and `modified_ns` say which state of the file was looked at; `problem` is empty where it can be read.
# `brightest` is the highest value, of 255, in any channel.
COLUMNS = ("stimulus_id", "path", "n_bytes", "modified_ns", "width", "height", "brightest", "sha256", "look", "problem")
LOOK_SIDE, LOOK_WAVES = 32, 8


def inspect(
    table: pd.DataFrame,
    folder: Path,
    known: pd.DataFrame | None = None,
    progress: Callable[[int], None] = lambda done: None,
    threads: int = 1,
) -> pd.DataFrame:
    """Decode every image of a stimulus table once: text columns `COLUMNS`, a row per row of the table.

    folder : where relative paths start
    known : what an earlier call found; an image that could be read then and has not changed is not read again
    """
    rows = [] if known is None else known.to_dict("records")
    # Of a table that an earlier version wrote, something is missing.
    before = {row["path"]: row for row in rows if not row["problem"] and row.keys() >= set(COLUMNS)}

    def row(stimulus_id: str, path: str) -> dict:
        state = dict(zip(("n_bytes", "modified_ns"), of_file(folder / path), strict=True))
        earlier = before.get(path)
        if not earlier or any(earlier[key] != value for key, value in state.items()):
            earlier = {"path": path} | state | facts(folder / path)
        return earlier | {"stimulus_id": stimulus_id}

    rows = []
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map(row, table["stimulus_id"], table["path"]):
            rows.append(done)
            progress(len(rows))
    return pd.DataFrame(rows, columns=COLUMNS)


def read(path: str | Path) -> pd.DataFrame:
    """The table `images.csv` as text; images that could not be read are looked at again, since they may be mended."""
    images = tables.read_text(path).reindex(columns=COLUMNS, fill_value="")
    bad = images["problem"] != ""
    if bad.any():
        images.loc[bad] = inspect(images[bad], Path(path).parent).set_axis(images.index[bad])
    return images


def facts(path: Path) -> dict[str, str]:
    """Size, hash and look of one image, or the problem with it; what is not known is empty."""
    nothing = dict.fromkeys(COLUMNS[4:], "")
    try:
        image = pixels.load_image(path)
    except InputError as error:
        return nothing | {"problem": str(error).removeprefix(f"{path}: ")}
    width, height, brightest = map(str, (*image.size, pixels.brightest(image)))
    known = {"width": width, "height": height, "brightest": brightest, "sha256": sha256(path), "look": look(image)}
    return nothing | known


def look(image: Image.Image) -> str:
    """A perceptual hash, 16 hex digits: which of the 64 slowest waves of the small grey image are above their median.

    As imagehash's `phash` (Zauner 2010, doi:10.13140/RG.2.2.23236.14728), but scaled down by averaging. Saved again,
    scaled or slightly cropped, a picture keeps most of its bits; another picture shares half of them.
    """
    grey = image.convert("L").resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.BOX)
    waves = dctn(np.asarray(grey, dtype=np.float64))[:LOOK_WAVES, :LOOK_WAVES]
    # Rounded, since a blank image has nothing but rounding noise, of whatever signs.
    waves = waves.round(1)
    return np.packbits(waves > np.median(waves)).tobytes().hex()
