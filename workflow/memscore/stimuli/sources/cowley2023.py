"""Macaque V4 and natural images, public without an account.

Cowley, Stan, Pillow & Smith, "Compact deep neural network models of visual cortex" (bioRxiv 2023, Nature 2026):
spike counts in 100 ms of 20 to 90 V4 neurons a session, 112 x 112 pixels at 11.2 degrees of visual angle
(brainscore-vision 2.4.2, `benchmarks.cowley2026`). Brain-Score's own benchmark of these data, `Cowley2026.V4-pls`,
averages the scores of four sessions; here the sites of the chosen sessions are pooled. The data are under GPL-3.0:
they are fetched from their authors' repository and never part of this one.
"""

import csv
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from memscore import storage
from memscore.download import download
from memscore.errors import InputError
from memscore.files import replacing
from memscore.stimuli import benchmarks, tables
from memscore.stimuli.sources import brainscore

COMMIT = "f4552ad9d34a466ebc66658f72a08a8e5038f1cf"
REPOSITORY = f"https://raw.githubusercontent.com/cowleygroup/V4_compact_models/{COMMIT}/data_V4_responses"
# session, and the Git blob ids of its images and its raw responses at COMMIT: all sessions that have both.
PINNED = Path(__file__).with_suffix(".csv")
IMAGE = re.compile(r"(?:.*/)?image(\d+)\.jpg")


def stage_stimuli(table_path: Path, benchmark: str, sessions: Sequence[str], directory: str | None) -> None:
    """Unpack the images of each session; image i of a session belongs to column i - 1 of its responses."""
    # Every file is checked before the first image is written, so that a broken one leaves nothing.
    archives = {session: find_images(session, directory) for session in sessions}
    rows = []
    for session, (source, members) in archives.items():
        with zipfile.ZipFile(source) as archive:
            for number in sorted(members):
                path = Path("images", session, f"image{number:04d}.jpg")
                with replacing(table_path.parent / path) as temporary:
                    temporary.write_bytes(archive.read(members[number]))
                rows.append({"stimulus_id": stimulus_id(session, number), "path": str(path)})
    tables.write_table(table_path, pd.DataFrame(rows))


def find_images(session: str, directory: str | None) -> tuple[Path, dict[int, str]]:
    """(archive, its members by image number).

    Raises InputError where it is broken, or holds other images than the session has responses to.
    """
    source = find(f"images/images_{session}.zip", session, directory)
    try:
        with zipfile.ZipFile(source) as archive:
            if broken := archive.testzip():
                raise zipfile.BadZipFile(broken)
            members = {int(match[1]): name for name in archive.namelist() if (match := IMAGE.fullmatch(name))}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{source}: not a whole zip archive ({error}); copy it again") from error
    if not members:
        raise InputError(f"{source}: holds no images named image1.jpg and so on; copy it again")
    responses, trials = load_trials(session, directory)
    if sorted(members) != list(range(1, len(trials) + 1)):
        raise InputError(
            f"{responses}: has responses to {len(trials)} images, but {source} holds {len(members)}, "
            f"image{min(members)}.jpg to image{max(members)}.jpg; copy both again"
        )
    return source, members


def load_benchmark(benchmark: str, table_path: Path, sessions: Sequence[str], directory: str | None) -> xr.Dataset:
    """Responses of the sessions' sites, each over its own session's images, and their ceilings."""
    parts = {session: load_session(session, directory) for session in sessions}
    averages = [session for session, part in parts.items() if not np.isfinite(part["ceiling"])]
    attrs = {"source": f"cowley2023, sessions {', '.join(sessions)}", "stimulus_set": "cowley2023"}
    if averages:
        attrs["no_ceiling"] = f"of session {', '.join(averages)} there are averages only, no single repeats"
    return benchmarks.pool(list(parts.values()), **attrs)


def load_session(session: str, directory: str | None) -> xr.Dataset:
    """One session as a benchmark of its own."""
    attrs = {"source": f"cowley2023, session {session}", "stimulus_set": "cowley2023", "visual_degrees": "11.2"}
    return benchmarks.make_benchmark(**recordings(session, directory), session=session, **attrs)


def neural_benchmarks(benchmark: str, table_path: Path, sessions: Sequence[str], directory: str | None) -> list:
    """Each session as a benchmark of Brain-Score's own classes."""
    return [
        brainscore.neural_benchmark(f"{benchmark}.{session}", **recordings(session, directory)) for session in sessions
    ]


def recordings(session: str, directory: str | None) -> dict:
    """A session's trials and what they belong to; splits are random, since the images have no classes."""
    _, trials = load_trials(session, directory)
    return {
        "trials": trials,
        "stimulus_ids": [stimulus_id(session, i + 1) for i in range(trials.shape[0])],
        "strata": None,
        "neuroid_ids": [f"{session}-{i:02d}" for i in range(trials.shape[1])],
        "region": "V4",
    }


def load_trials(session: str, directory: str | None) -> tuple[Path, np.ndarray]:
    """(file, spike counts of shape (n_images, n_neurons, n_repeats)), NaN where an image was shown less often.

    A directory without a session's raw responses gives its averages as one repeat, from which there is no ceiling.
    """
    name = f"responses_{session}.npy"
    averaged = Path(directory or "", "responses_repeat_averaged", name)
    if directory and averaged.is_file() and not Path(directory, "responses_raw", name).is_file():
        source = averaged
    else:
        source = find(f"responses_raw/{name}", session, directory)
    try:
        responses = np.load(source)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{source}: cannot be read as a NumPy array ({error}); copy it again") from error
    if source == averaged:
        responses = responses[..., None]
    if responses.ndim != 3:
        raise InputError(f"{source}: has shape {responses.shape}; expected (neuron, image, repeat)")
    return source, responses.transpose(1, 0, 2)


def find(name: str, session: str, directory: str | None) -> Path:
    """A file of the data set: in the user's copy, or downloaded and verified."""
    if directory:
        path = Path(directory, name)
        if not path.is_file():
            raise InputError(f"config: brain: cowley2023: directory: no file {path}; copy data_V4_responses whole")
        return path
    column = name.partition("/")[0]
    with open(PINNED, newline="", encoding="utf-8") as file:
        pinned = {row["session"]: row[column] for row in csv.DictReader(file)}
    if session not in pinned:
        raise InputError(
            f"config: brain: cowley2023: sessions: no session {session!r} with images; there are {', '.join(pinned)}"
        )
    return download(f"{REPOSITORY}/{name}", downloads() / name, pinned[session])


def downloads() -> Path:
    """The folder for its files."""
    return storage.downloads() / "cowley2023"


def stimulus_id(session: str, number: int) -> str:
    """`210325-0001`: image numbers start from 1 in every session."""
    return f"{session}-{number:04d}"
