"""Anyone's own images: a CSV or TSV of `path, memorability` beside an image folder."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from memscore import stimuli
from memscore.errors import InputError


def stage_dataset(table_path: Path, dataset: Mapping, seed: int) -> None:
    """Write the stimulus table of a user's own table; images stay where they are.

    dataset : `table`, and optionally `images` and `n_splits`, as in the config

    The user's table has the columns `path` and `memorability`, and may have `stimulus_id` (else the path serves),
    `n_responses` and split columns (else seeded ones in LaMem's proportions are made). Paths are relative to
    `images`, or to the table's own folder.
    """
    source = Path(dataset["table"])
    table = stimuli.parse_table(source)
    for column in ("path", "memorability"):
        if column not in table:
            raise InputError(f"{source}: no column {column!r}; it has {', '.join(table.columns)}")
    if "stimulus_id" not in table:
        table.insert(0, "stimulus_id", table.path)
    stimuli.check_table(table, source)
    folder = Path(dataset.get("images", source.parent)).resolve()
    missing = [path for path in table.path if not (folder / path).is_file()]
    if missing:
        line = int((table.path == missing[0]).idxmax()) + 2
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"{source}: line {line}: no image {folder / missing[0]}{more}; set datasets: images")
    table["path"] = [str(folder / path) for path in table.path]
    if not stimuli.split_columns(table):
        table = pd.concat([table, stimuli.lamem_like_splits(len(table), dataset.get("n_splits", 5), seed)], axis=1)
    stimuli.write_table(table_path, table)
