"""For tests of stimuli: what others publish, a server that has it, and what staging makes of it or says against it."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from memscore.errors import InputError
from memscore.stimuli import tables


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=95)
    return file.getvalue()


JPEG = jpeg(np.full((8, 8, 3), [200, 30, 90], dtype=np.uint8))


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def resumable(path: str, content: bytes):
    """answer(method, path, headers) of a server with one file, which it goes on with from any byte."""

    def answer(method, asked, headers):
        if asked != path:
            return 404, {}, b""
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        first = int(match[1]) if match else 0
        span = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if match else {}
        return 206 if match else 200, {"ETag": '"it"'} | span, content[first:]

    return answer


def stage(source, say=lambda message: None, **dataset) -> pd.DataFrame:
    """The staged table of a data set; where it is refused, there is none."""
    target = Path("resources/stimuli/datasets/it/stimuli.csv")
    dataset = {key: str(value) if isinstance(value, Path) else value for key, value in dataset.items()}
    shutil.rmtree(target.parent, ignore_errors=True)
    try:
        source.stage_dataset(target, dataset, 1, say)
    except InputError:
        assert not target.parent.exists() or list(target.parent.iterdir()) == []
        raise
    return tables.read_table(target)


def refusal(function, *arguments, **keywords) -> str:
    """The one line with which something is refused."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **keywords)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message
