"""Put what `make bench` measured into docs/performance.md: tables, the machine, and a cost model of the 2023 study.

    PYTHONPATH=workflow .venv/bin/python bench/report.py

Each part that the page has stands between two comments, `begin <part>` and `end <part>`; the words around them are left
as they are.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from machine import description
from snakemake.utils import update_config

from memscore import study
from memscore.files import replacing

BENCH, PAGE = Path("results/bench"), Path("docs/performance.md")
# Stimuli of the 2023 study: LaMem, the HvM images of MajajHong2015public, the textures of FreemanZiemba2013public.
STIMULI = 58_741 + 3_200 + 315
SKETCH = 4096
# V4 and IT have 3,200 stimuli; V1 and V2 a tenth of them, and cost a tenth.
BRAIN = 2.2
# Per run of layers, one a stimulus set.
JOBS = 3


def table(frame: pd.DataFrame) -> str:
    """A Markdown table; empty cells for what is not known, names of columns in words."""
    rows = [
        frame.columns.str.replace("_", " "),
        ["---"] * len(frame.columns),
        *frame.astype(object).where(frame.notna(), "").values,
    ]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def scores() -> str:
    """One layer's scores beside the peers."""
    rows = pd.read_csv(BENCH / "scoring.csv")
    rows["difference"] = [
        f"{d:.0e} of {of}" if pd.notna(d) else "" for d, of in rows[["difference", "difference_of"]].values
    ]
    columns = ["measurement", "size", "memscore_seconds", "peer", "peer_seconds", "ratio", "difference"]
    return table(rows[columns].rename(columns=lambda name: name.replace("_seconds", ", s")))


def extraction() -> str:
    """All layers of a network beside its forward pass and thingsvision."""
    rows = pd.read_csv(BENCH / "extraction.csv")
    rows["value"] = rows["value"].astype(str) + " " + rows["unit"]
    return table(rows[["model", "layers", "images", "measurement", "value", "ratio", "note"]])


def workflow() -> str:
    """Planning and starting."""
    rows = pd.read_csv(BENCH / "workflow.csv")
    rows["jobs"] = rows["jobs"].astype("Int64")
    rows = rows[["measurement", "size", "jobs", "seconds_median", "seconds_min", "seconds_max", "processor_median"]]
    rows = rows.rename(columns={"processor_median": "processor, s"})
    return table(rows.rename(columns=lambda name: re.sub("seconds_(.*)", r"\1, s", name)))


def slurm() -> str:
    """What a job costs beyond its work."""
    return table(pd.read_csv(BENCH / "slurm.csv"))


def storage() -> str:
    """How far scores move where layers are kept in half precision."""
    return table(pd.read_csv(BENCH / "storage.csv"))


def gpu() -> str:
    """What bench/gpu.py found on a card."""
    rows = pd.read_csv(BENCH / "gpu.csv").rename(columns={"what": "measurement"})
    where = " on ".join(rows.loc[0, ["torch", "device"]])
    for column in ("difference", "seconds", "cpu_seconds", "forward_seconds"):
        rows[column] = [f"{value:.2g}" if pd.notna(value) else "" for value in rows[column]]
    columns = ["part", "measurement", "difference", "seconds", "cpu_seconds", "forward_seconds", "note"]
    return f"torch {where}.\n\n" + table(rows[columns])


def between(sizes: pd.Series, seconds: pd.Series, n_stimuli: int, n_features: np.ndarray) -> np.ndarray:
    """A layer's score by its number of features, between the sizes (`stimuli x features ...`) that were measured."""
    stimuli, features = sizes.str.extract(r"(\d+) x (\d+)").astype(int).to_numpy().T
    order = np.flatnonzero(stimuli == n_stimuli)[np.argsort(features[stimuli == n_stimuli])]
    return np.interp(n_features, features[order], seconds.to_numpy()[order])


@cache
def study_2023() -> list[np.ndarray]:
    """Of each network the numbers of features of its layers, once they are folded."""
    config, paper = (yaml.safe_load(Path(f"config/{name}.yaml").read_text()) for name in ("config", "paper"))
    update_config(config, paper)
    networks = study.load(config).models.values()
    return [np.minimum([layer["n_features"] for layer in model.layers], SKETCH) for model in networks]


def passes(features: list[np.ndarray]) -> Iterator[tuple[str, float, int, float]]:
    """(layers per job, forward passes of all stimuli, jobs, GB of the largest job's layers of LaMem)."""
    for label, n in (("1", 1), ("32", 32), ("all", max(map(len, features)))):
        # A pass ends at the last layer of its job.
        ends = [min(first + n, len(of)) / len(of) for of in features for first in range(0, len(of), n)]
        largest = max(of[first : first + n].sum() for of in features for first in range(0, len(of), n))
        yield label, sum(ends), JOBS * len(ends), round(float(largest) * 58_741 * 4 / 1e9, 1)


@cache
def start_of_a_job() -> float:
    """Seconds."""
    planned = pd.read_csv(BENCH / "workflow.csv").groupby("measurement")["seconds_median"].mean()
    return planned["start-up of a job"] + planned["parse for one job at one layer a job"]


def cost() -> str:
    """Hours and scratch space of the 2023 study on this machine, by layers per job."""
    extracted = pd.read_csv(BENCH / "extraction.csv").query("measurement == 'memscore, all leaf layers'")
    an_image = (extracted["value"] / extracted["images"]).mean()
    features = study_2023()
    sizes = np.concatenate(features)
    scored = pd.read_csv(BENCH / "scoring.csv").drop_duplicates(["measurement", "size"]).set_index("measurement")
    memorability, brain = (
        between(rows["size"], rows["memscore_seconds"], n, sizes).sum() / 3600
        for rows, n in ((scored.loc["memorability"], 58_741), (scored.loc["brain"], 3_200))
    )
    rows = [
        {
            "layers per job": label,
            "jobs": f"{jobs:,}",
            "extraction, hours": round(n * STIMULI * an_image / 3600),
            "memorability, hours": round(memorability),
            "brain, hours": round(BRAIN * brain),
            "start-up, hours of a core": round(jobs * start_of_a_job() / 3600, 1),
            "layers of a job, GB": held,
        }
        for label, n, jobs, held in passes(features)
    ]
    return table(pd.DataFrame(rows)) + (
        f"\n\n{len(sizes):,} layers of {len(features)} networks, {STIMULI:,} stimuli; {an_image:.3f} s an image is the"
        " mean of the networks above."
    )


def gpu_cost() -> str:
    """GPU-hours of the 2023 study on the card of `gpu`: the card is held while a job starts."""
    measured = pd.read_csv(BENCH / "gpu.csv")
    extracted = measured[measured["what"].str.contains("float32, batches of 256")]
    an_image = 1 / extracted["note"].str.extract(r"(\d+) images/s")[0].astype(float)
    features = study_2023()
    sizes = np.concatenate(features)
    scored = measured[measured["what"].str.fullmatch(r"(memorability|brain) \d+ x \d+( x 168)?")]
    memorability, brain = (between(scored["what"], scored["seconds"], n, sizes).sum() / 3600 for n in (58_741, 3_200))
    rows = [
        {
            "layers per job": label,
            "jobs": f"{jobs:,}",
            "extraction, GPU-hours": round(n * STIMULI * an_image.mean() / 3600, 1),
            "memorability, GPU-hours": round(memorability, 1),
            "brain, GPU-hours": round(BRAIN * brain, 1),
            "start-up, GPU-hours": round(jobs * start_of_a_job() / 3600, 1),
        }
        for label, n, jobs, _ in passes(features)
    ]
    return table(pd.DataFrame(rows))


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for part in (description, scores, extraction, storage, workflow, slurm, cost, gpu, gpu_cost):
        begin, end = f"<!-- begin {part.__name__} -->", f"<!-- end {part.__name__} -->"
        if begin not in page:
            print(f"{PAGE}: has no part {part.__name__}")
            continue
        try:
            made = part()
        except FileNotFoundError as error:
            print(f"{PAGE}: {part.__name__} stays as it is: no {error.filename}")
            continue
        page = re.sub(f"{begin}.*?{end}", lambda _, text=f"{begin}\n\n{made}\n\n{end}": text, page, flags=re.DOTALL)
    with replacing(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"{PAGE}: written")


if __name__ == "__main__":
    main()
