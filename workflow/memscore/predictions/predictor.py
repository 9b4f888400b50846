"""A predictor of memorability in one file, to be handed on: a network, its read-out, and what it was trained on.

It says of every image how memorable it is, where that stands among its training images, and whether the image is unlike
any of them: then the number means little.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.cross_decomposition import PLSRegression

import memscore
from memscore.errors import InputError
from memscore.names import TUNED
from memscore.networks import architectures, finetuning, weights
from memscore.networks.architectures import PENULTIMATE
from memscore.networks.extraction import extract
from memscore.networks.streaming import hold
from memscore.stimuli import splits
from memscore.stimuli.pixels import decode as decode_image

KEY = "memscore_predictor"  # of the header
NETWORK = "network."  # before the names of the network's tensors
BATCH = 32
CHUNK = 256  # images that are decoded before the network sees them
# An image is as far as its k-th nearest training image (Sun et al. 2022, deep nearest neighbours), of at most so many;
# farther than this share of the images that were held out is unlike them.
NEIGHBOUR, MOST_REFERENCES, UNLIKE = 10, 2000, 0.99
EQUAL = 9  # Decimals of ρ: what differs after these differs by the machine.
# What holds for numbers that were learned from people's scores, by the source of the data set.
TERMS = {
    "lamem": "Learned from LaMem (Khosla et al. 2015): its authors' terms hold, cite them.",
    "lnsim": "Learned from LNSIM (Lu et al. 2020), which names no licence: cite it, and ask before other use.",
    "memcat": "Learned from MemCat (Goetschalckx & Wagemans 2019): its authors' terms hold, cite them.",
    "figrim": "Learned from FIGRIM (Bylinskii et al. 2015): its authors' terms hold, cite them.",
    "simulated": "Its viewers are simulated: it says nothing about people.",
    "table": "Learned from a table of the study's own: whose photographs and scores they are decides who may use it.",
}


@dataclass(frozen=True)
class Predictor:
    """A network and what reads it.

    about : what the file says of itself:
        `network` (timm_name, options, input_size, mean, std, interpolation), `penultimate` (its calls), `model`,
        `dataset`, `split`, `n_training`, `test_rho`, `terms`, `memscore`, `unlike` (the distance from which on an image
        is unlike training images) and `read_out`: `{kind: head, target}`, or `{kind: pls, layer, calls, sketch, seed}`
    tensors : `predicted` (n_training,), what it says of its training images, in order; `references` (n, n_features),
        penultimate activations of length 1 of training images; of PLS also `coefficients` and `intercept`
    """

    about: Mapping
    model: torch.nn.Module
    tensors: Mapping[str, torch.Tensor]
    device: str = "cpu"

    def look(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(predicted memorability (n,), penultimate activations of length 1 (n, n_features)) of staged pixels."""
        network, read_out = self.about["network"], self.about["read_out"]
        layer, looks = self.activations(pixels)
        if read_out["kind"] == "pls":
            weighted = torch.from_numpy(layer).double() @ self.tensors["coefficients"]
            return (weighted + self.tensors["intercept"]).numpy(), looks
        mean, sd = read_out["target"]
        rows = np.arange(len(pixels))
        says = finetuning.predict(self.model, pixels, rows, network["mean"], network["std"], BATCH, self.device)
        return mean + sd * says, looks

    def activations(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """(features (n, n_features) of the layer that PLS reads, or None; penultimate activations of length 1)."""
        network, read_out = self.about["network"], self.about["read_out"]
        layers, sketch, read = {PENULTIMATE: self.about["penultimate"]}, {}, read_out.get("layer")
        if read:
            layers[read] = read_out["calls"]
            sketch = {"sketch": read_out["sketch"], "seed": read_out["seed"]}
        mean, std = network["mean"], network["std"]
        batches = extract(self.model, layers, pixels, mean, std, batch_size=BATCH, device=self.device, **sketch)
        held = {name: values.numpy() for name, values in hold(batches, len(pixels)).items()}
        return held.get(read), unit(held[PENULTIMATE])

    def distance(self, looks: np.ndarray) -> np.ndarray:
        """Cosine distance (n,) to the k-th nearest training image, of activations of length 1."""
        return nearest(looks, unit(self.tensors["references"].float().numpy()))

    def percentile(self, predicted: np.ndarray) -> np.ndarray:
        """Which percentage of training images it says no more of, (n,)."""
        known = self.tensors["predicted"].numpy()
        return 100 * np.searchsorted(known, predicted, side="right") / len(known)

    def of_files(self, files: Sequence[Path], progress: Callable[[int], None] = lambda done: None) -> list[dict]:
        """A row a file, the most memorable first: `path`, `predicted_memorability`, `rank`, `percentile`, `note`.

        An image that cannot be read comes last, without numbers, and its note says why.
        """
        rows, done = [], 0
        for start in range(0, len(files), CHUNK):
            part = files[start : start + CHUNK]
            decoded = list(decode(part, self.about["network"]))
            pixels = [each for each in decoded if not isinstance(each, str)]
            if pixels:
                predicted, looks = self.look(np.stack(pixels))
                unlike = self.distance(looks) > self.about["unlike"]
                found = iter(zip(predicted, self.percentile(predicted), unlike, strict=True))
            for file, each in zip(part, decoded, strict=True):
                row = {"path": str(file), "predicted_memorability": None, "rank": None, "percentile": None}
                if isinstance(each, str):
                    rows.append(row | {"note": each})
                    continue
                value, percentile, is_unlike = next(found)
                note = "unlike the images it was trained on: the number means little" if is_unlike else ""
                rows.append(
                    row | {"predicted_memorability": float(value), "percentile": float(percentile), "note": note}
                )
            progress(done := done + len(part))
        readable = [row for row in rows if row["percentile"] is not None]
        readable.sort(key=lambda row: (-row["predicted_memorability"], row["path"]))
        for rank, row in enumerate(readable, start=1):
            row["rank"] = rank
        return readable + [row for row in rows if row["percentile"] is None]


@dataclass(frozen=True)
class Best:
    """Which predictor of a study it is: a network, read by its own head, or by PLS on `layer`, of a split.

    rho : mean over splits; test_rho : of the split
    """

    model: str
    network: str
    split: int
    layer: str | None
    n_components: int
    rho: float
    test_rho: float

    def described(self) -> str:
        how = f"PLS on {self.layer}" if self.layer else "its own prediction, trained on memorability"
        return (
            f"{self.model}, {how}: mean ρ {self.rho:.3f} over splits, {self.test_rho:.3f} on split {self.split}, whose "
            "training images it is fitted to"
        )


def best(memorability: pd.DataFrame | None, finetuned: pd.DataFrame | None, trained: Collection[str]) -> Best:
    """The model and read-out with the highest mean ρ on test images, of the splits that networks are tuned on, or all.

    Of a tuned network's splits it is the one with the highest ρ on validation images, of a layer the first. Of equal
    ones it is the first in the table, a layer before a tuned network.
    memorability : `results/memorability.csv`, None where layers are no candidates; finetuned : `results/finetuned.csv`
    trained : the models whose layers are candidates: the others are controls
    """
    candidates = []
    if memorability is not None:
        columns = [name for name in memorability if name.startswith("memorability_split_")]
        if finetuned is not None:  # Compared on the same test images.
            columns = [f"memorability_split_{split}" for split in pd.unique(finetuned["split"])]
        means = memorability.loc[memorability["model"].isin(trained), columns].mean(axis=1).dropna()
        if len(means):
            row, split = memorability.loc[means.round(EQUAL).idxmax()], int(columns[0].rpartition("_")[2])
            name, n_components = row["model"], int(row[f"components_split_{split}"])
            candidates.append(Best(name, name, split, row["layer"], n_components, means[row.name], row[columns[0]]))
    for model, rows in [] if finetuned is None else finetuned.dropna(subset=["head_rho"]).groupby("model", sort=False):
        kept = rows.loc[rows["validation_rho"].round(EQUAL).idxmax()]
        name, mean = f"{model}{TUNED}{kept['split']}", rows["head_rho"].mean()
        candidates.append(Best(model, name, int(kept["split"]), None, 0, mean, kept["head_rho"]))
    if not candidates:
        raise InputError(
            "no predictor: nothing but untrained controls, and layers reduced to principal components or without a "
            "score; set finetune: splits, or study a trained network without reduction: pca"
        )
    return max(candidates, key=lambda each: round(each.rho, EQUAL))


def make(
    best: Best,
    described: Mapping,
    weights_file: str,
    pixels: np.ndarray,
    table: pd.DataFrame,
    stimuli: str,
    *,
    dataset: str,
    source: str,
    sketch: Mapping,
    choose: bool,
    plugins: Sequence[str] = (),
    device: str = "cpu",
) -> Predictor:
    """The predictor that `best` names, with what it says of its training images.

    described : the network's entry of `Study.predicting`; weights_file : as staged or tuned
    pixels : uint8 array (n_stimuli, height, width, 3) of the stimulus table `table`, of the file `stimuli`
    sketch : `sketch` and `seed`; choose : whether the study chooses the number of components on validation stimuli
    """
    table = splits.only(table, best.split, stimuli)
    scores = splits.memorability_scores(table)[0]
    train, test, validation = splits.memorability_splits(table, stimuli, best.n_components, choose)
    train, held_out = train[0], test[0] if validation is None else test[0] | validation[0]
    network = dict(described["network"])
    options = weights.options_of(weights_file)
    network["timm_name"] = options.pop("timm_name", network["timm_name"])
    about = {
        "memscore": memscore.__version__,
        "model": best.model,
        "network": network | {"options": options},
        "penultimate": described["penultimate"],
        "dataset": dataset,
        "simulated": source == "simulated",
        "terms": TERMS.get(source, TERMS["table"]),
        "split": best.split,
        "n_training": int(train.sum()),
        "test_rho": float(best.test_rho),
        "unlike": np.inf,
    }
    model = weights.load(described["network"]["timm_name"], weights_file, plugins)
    if best.layer is None:
        about["read_out"] = {"kind": "head", "target": weights.training_of(weights_file)["target"]}
        predictor = Predictor(about, model, {}, device)
        predicted, looks = predictor.look(pixels)
    else:
        about["read_out"] = {"kind": "pls", "layer": best.layer, "calls": described["calls"][best.layer], **sketch}
        layer, looks = Predictor(about, model, {}, device).activations(pixels)
        # The study's own regression (`scores.pls`) to rounding: with one target NIPALS has nothing to iterate.
        regression = PLSRegression(best.n_components, scale=False).fit(layer[train], scores[train])
        at_zero = regression.predict(np.zeros_like(layer[:1])).ravel()[0]
        read_out = {"coefficients": regression.coef_[0], "intercept": at_zero}
        read_out = {name: torch.tensor(values, dtype=torch.float64) for name, values in read_out.items()}
        predictor = Predictor(about, model, read_out, device)
        predicted = regression.predict(layer).ravel()
    trained = np.flatnonzero(train)
    kept = trained[np.linspace(0, len(trained) - 1, min(len(trained), MOST_REFERENCES)).round().astype(int)]
    references = torch.from_numpy(looks[kept]).half()
    about["unlike"] = float(np.quantile(nearest(looks[held_out], unit(references.float().numpy())), UNLIKE))
    known = {"references": references, "predicted": torch.from_numpy(np.sort(predicted[train]))}
    return Predictor(about, model, {**predictor.tensors, **known}, device)


def save(path: str | Path, predictor: Predictor) -> None:
    """Write a predictor as one safetensors file, with JSON of what it is in its header."""
    network = {f"{NETWORK}{name}": tensor.cpu() for name, tensor in predictor.model.state_dict().items()}
    weights.save(path, network | dict(predictor.tensors), {KEY: json.dumps(predictor.about)})


def load(path: str | Path, plugins: Sequence[str] = (), device: str = "cpu") -> Predictor:
    """Read what `save` wrote; nothing in the file is executed, and no network is asked.

    Raises InputError for what is no predictor. plugins : files of architectures that timm does not have
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"config: predictor: no file {path}; give a path from the repository root") from None
    except (SafetensorError, KeyError):
        raise InputError(f"{path}: is no predictor of memscore; `snakemake predictor` makes one") from None
    network = about["network"]
    model = architectures.create(network["timm_name"], plugins, **network["options"])
    model.load_state_dict({n.removeprefix(NETWORK): t for n, t in tensors.items() if n.startswith(NETWORK)})
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith(NETWORK)}
    return Predictor(about, model.eval(), others, device)


def decode(files: Sequence[Path], network: Mapping) -> Iterator[np.ndarray | str]:
    """Each image upright, at the network's size, uint8 (height, width, 3); of one that cannot be read, why."""

    def decoded(file: Path) -> np.ndarray | str:
        found = decode_image(file, network["input_size"], network["interpolation"])
        # What to do about a line of a stimulus table is no advice here.
        return str(found).removeprefix(f"{file}: ").partition("; ")[0] if isinstance(found, InputError) else found

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        yield from pool.map(decoded, files)


def unit(activations: np.ndarray) -> np.ndarray:
    """Rows (n, n_features) of length 1; of a row of zeros, zeros."""
    return activations / np.maximum(np.linalg.norm(activations, axis=1, keepdims=True), 1e-12)


def nearest(looks: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Cosine distance of each row (n, n_features) to its k-th nearest reference, (n,)."""
    k = min(NEIGHBOUR, len(references)) - 1
    return np.partition(1 - looks @ references.T, k, axis=1)[:, k]
