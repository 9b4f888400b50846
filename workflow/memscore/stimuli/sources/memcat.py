"""MemCat: 10,000 images of five categories, each with the answers of about 100 viewers.

Goetschalckx & Wagemans, "MemCat: a new category-based image set quantified on memorability" (PeerJ 2019). Its table
`memcat_image_data.csv` names image, category and subcategory, hits `H`, false alarms `FA`, `n_resp` answers, and the
score H / n_resp and its correction for false alarms, (H - FA) / n_resp. Images are in category/subcategory folders.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from memscore.errors import InputError
from memscore.files import encoding_of
from memscore.stimuli import tables
from memscore.stimuli.sources.folders import Images, folders_of
from memscore.stimuli.sources.table import require_columns, with_splits

TABLE = "memcat_image_data.csv"
# uncorrected is a share of n_resp answers, as LaMem's scores are; corrected is not, and can be below zero.
SCORES = {"uncorrected": "memorability_wo_fa_correction", "corrected": "memorability_w_fa_correction"}


def stage_dataset(
    table_path: Path, dataset: Mapping, seed: int, say: Callable[[str], None] = lambda message: None
) -> None:
    """Write the stimulus table of MemCat, with made splits; images stay where they are or were unpacked.

    dataset : `directory` or `archive`, and optionally `table` (where it is not among them), `memorability`,
        `n_splits`, `group` and `stratify`, as in the config
    """
    folders = folders_of(dataset, say)
    images = Images(folders)
    source = Path(dataset.get("table") or images.find(TABLE) or "")
    if not source.is_file():
        raise InputError(f"{folders[0]}: holds no {TABLE}; put it there, or name it as datasets: table")
    score = SCORES[dataset.get("memorability", "uncorrected")]
    published = tables.parse_table(source, encoding_of(source))
    require_columns(published, ("image_file", "category", "subcategory", "n_resp", score), source)
    table = pd.DataFrame(
        {
            "stimulus_id": published["image_file"].astype(str),
            "path": find_images(published, images, source),
            "memorability": published[score],
            "category": published["category"],
            "subcategory": published["subcategory"],
        }
    )
    if score == SCORES["uncorrected"]:
        # A corrected score is no share of answers: human consistency cannot be had from it.
        table.insert(3, "n_responses", published["n_resp"])
    corrected = score == SCORES["corrected"]
    tables.check_table(table, source, corrected)
    tables.write_table(table_path, with_splits(table, dataset, seed, source), corrected)


def find_images(table: pd.DataFrame, images: Images, source: Path) -> list[str]:
    """Path of each line's image."""
    names = zip(table["image_file"].astype(str), table["category"], table["subcategory"], strict=True)
    paths = [images.find(name, str(category), str(subcategory)) for name, category, subcategory in names]
    missing = [row for row, path in enumerate(paths) if path is None]
    if missing:
        row, line = table.iloc[missing[0]], tables.line_of(table, missing[0])
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(
            f"{source}: line {line}: no image {row['category']}/{row['subcategory']}/{row['image_file']} in "
            f"{', '.join(map(str, images.folders))}{more}; add what is missing"
        )
    return paths
