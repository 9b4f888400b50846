"""FIGRIM: target images of 21 scene categories, each shown again to see who recognises it.

Bylinskii, Isola, Bainbridge, Torralba & Oliva, "Intrinsic and extrinsic effects on image memorability" (Vision Research
2015). Its target images are in a folder per scene category. How its scores are laid out is not assumed here: what is
read is a table made from them, with the columns `filename` and either `hits` and `misses` or `hit_rate`; optionally
`category`, the image's folder, without which file names must be unique.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from memscore.errors import InputError
from memscore.files import encoding_of
from memscore.stimuli import tables
from memscore.stimuli.sources.folders import Images, folders_of
from memscore.stimuli.sources.table import require_columns, with_splits


def stage_dataset(
    table_path: Path, dataset: Mapping, seed: int, say: Callable[[str], None] = lambda message: None
) -> None:
    """Write the stimulus table of FIGRIM, with made splits; images stay where they are or were unpacked.

    dataset : `table`, `directory` or `archive`, and optionally `n_splits`, `group` and `stratify`, as in the config
    """
    source = Path(dataset["table"])
    published = tables.parse_table(source, encoding_of(source))
    require_columns(published, ("filename",), source)
    scores = read_scores(published, source)
    images = Images(folders_of(dataset, say))
    names, paths = [], []
    for line, row in zip(published.index, published.astype(str).to_dict("records"), strict=True):
        above = [row["category"]] if "category" in row else []
        names.append("/".join([*above, row["filename"]]))
        paths.append(images.find(row["filename"], *above))
        if paths[-1] is None:
            where = ", ".join(map(str, images.folders))
            raise InputError(f"{source}: line {line}: no image {names[-1]} in {where}; add what is missing")
    table = pd.DataFrame({"stimulus_id": names, "path": paths}, index=published.index).assign(**scores)
    if "category" in published:
        table["category"] = published["category"]
    tables.check_table(table, source)
    tables.write_table(table_path, with_splits(table, dataset, seed, source))


def read_scores(published: pd.DataFrame, source: Path) -> dict[str, pd.Series]:
    """`memorability`, and `n_responses` where hits and misses are counted."""
    if not {"hits", "misses"} <= set(published):
        require_columns(published, ("hit_rate",), source)
        return {"memorability": published["hit_rate"]}
    counts = {column: pd.to_numeric(published[column], errors="coerce") for column in ("hits", "misses")}
    for column, values in counts.items():
        if not (values >= 0).all():
            row = int((~(values >= 0)).to_numpy().argmax())
            line, given = tables.line_of(published, row), published[column].iloc[row]
            raise InputError(f"{source}: line {line}: {column} is {given!r}; it must be a count")
    answers = counts["hits"] + counts["misses"]
    return {"memorability": counts["hits"] / answers, "n_responses": answers}
