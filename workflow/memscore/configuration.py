"""Is what the user wrote usable: the config by its schema and against itself, the model table row by row."""

import csv
import datetime
import os
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from memscore.errors import InputError
from memscore.names import TUNED, stimulus_set_of

SCHEMAS = Path(__file__).parent.parent / "schemas"
CHECKOUT = Path(__file__).parents[2]
# Keys whose files may be those that come with the workflow, in its config/.
SHIPPED = ("models", "object_recognition", "published")
# Areas of the benchmarks that are not Brain-Score's.
OWN_BENCHMARKS = {"simulated": ("V1", "V2", "V4", "IT"), "cowley2023": ("V4",)}
# And of those that are, and public, which most people want. Of others only staging knows.
PUBLIC_BENCHMARKS = {"MajajHong2015public": ("V4-pls", "IT-pls"), "FreemanZiemba2013public": ("V1-pls", "V2-pls")}
# What YAML 1.1 takes for text, since it has no point or no sign: 1e-4.
EXPONENT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+")
# How many splits a data set has that says nothing of them.
N_SPLITS = 5
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def with_shipped(config: Mapping) -> dict:
    """The config, in which a file of the workflow's own config/ is named where the study's folder does not have it."""
    named = {key: config[key] for key in SHIPPED if isinstance(config.get(key), str)}
    shipped = {key: CHECKOUT / path for key, path in named.items() if Path(path).parts[:1] == ("config",)}
    return {**config} | {
        key: str(path) for key, path in shipped.items() if path.is_file() and not Path(named[key]).exists()
    }


def check_file(path: Path) -> None:
    """Raise InputError where a config file gives a key twice, of which YAML keeps the last and drops the other.

    Snakemake takes all that follows --configfile for config files, and reads what it can: a result in JSON is refused.
    """
    path = Path(os.path.relpath(path))
    if path.parts[0] in ("results", "resources") and path.suffix not in (".yaml", ".yml"):
        raise InputError(
            f"--configfile takes every word that follows it: {path} was read as a config; name targets before it"
        )
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # Snakemake has read it, in its own way.
    _check_keys(root, path)


def _check_keys(node, path: Path) -> None:
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _check_keys(each, path)
    lines = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if key.value in lines and key.value != "<<":
            raise InputError(
                f"{path}: line {line}: {key.value} is there twice, also in line {lines[key.value]}, and only one "
                "counts; keep one, with what is below both"
            )
        lines[str(key.value)] = line
        _check_keys(value, path)


def complete(config: dict) -> None:
    """Write into a config what its user meant: `finetune: null`, and numbers that YAML takes for text, such as 1e-4.

    In place: the rules read the same config.
    """
    if "finetune" in config and config["finetune"] is None:
        default = yaml.safe_load((CHECKOUT / "config/config.yaml").read_text(encoding="utf-8"))
        config["finetune"] = default["finetune"] | {"splits": None}
    for error in list(_validator("config").iter_errors(config)):
        numeric = error.validator == "type" and "number" in error.validator_value
        if numeric and isinstance(error.instance, str) and EXPONENT.fullmatch(error.instance):
            *above, last = error.absolute_path
            section = config
            for key in above:
                section = section[key]
            section[last] = float(error.instance)


def check_config(config: Mapping) -> None:
    """Raise InputError for the first key that is unknown, missing or of the wrong type."""
    error = _error("config", config)
    if error:
        where = _where(error.absolute_path)
        raise InputError(f"config: {where}{_reason(error)}; config/config.yaml explains every key")
    if not config["memorability"] and not config["brain"]:
        raise InputError("config: memorability and brain are both null; a study needs one of them")
    known = ", ".join(config["datasets"])
    dataset = config["memorability"] and config["memorability"]["dataset"]
    if dataset and dataset not in config["datasets"]:
        raise InputError(f"config: memorability: dataset: {dataset!r} is not among datasets ({known})")
    generalisation = config["generalisation"] or []
    for name in generalisation:
        if name not in config["datasets"]:
            raise InputError(f"config: generalisation: {name!r} is not among datasets ({known})")
    if config["generalisation"] is not None and len(generalisation) < 2:
        raise InputError(
            f"config: generalisation: names {len(generalisation)} of the datasets ({known}); name two or more, or null"
        )
    if generalisation and not config["memorability"]:
        raise InputError("config: generalisation: needs memorability: components; memorability is null")
    images = config["reduction"]["pca"] and config["reduction"]["pca_images"]
    if config["reduction"]["pca"] and not images:
        raise InputError("config: reduction: pca_images: pca needs reference images; name a stimulus set or a folder")
    if images and images not in config["datasets"] and not Path(images).is_dir():
        raise InputError(
            f"config: reduction: pca_images: {images!r} is neither among datasets ({known}) nor a folder; give a "
            "folder's path from the repository root"
        )
    for key, there, kind in (
        ("downloads", Path.is_dir, "folder"),
        ("images", Path.is_dir, "folder"),
        ("predictor", Path.is_file, "file"),
        ("object_recognition", Path.exists, "file or folder"),
        ("published", Path.is_file, "file"),
    ):
        if config[key] and not there(Path(config[key])):
            raise InputError(f"config: {key}: no {kind} {config[key]}; give a path from the repository root")
    if config["brain"]:
        check_benchmarks(config["brain"])
    for used in (dataset, images, *generalisation):
        if used in config["datasets"]:
            check_dataset(used, config["datasets"][used])


def check_benchmarks(brain: Mapping) -> None:
    """Raise InputError for the first benchmark that there is not, or whose recordings are not where they should be."""
    where = "config: brain: benchmarks: "
    for benchmark in brain["benchmarks"]:
        name, _, rest = benchmark.partition(".")
        known = {**OWN_BENCHMARKS, **PUBLIC_BENCHMARKS}.get(name)
        if known and rest not in known:
            raise InputError(f"{where}no benchmark {benchmark!r}; {name} has {', '.join(known)}")
        if not known and not benchmark.endswith("-pls"):
            raise InputError(f"{where}{benchmark!r}: of Brain-Score's, memscore has those whose name ends in -pls")
    directory = brain.get("cowley2023", {}).get("directory")
    if directory and "cowley2023" in map(stimulus_set_of, brain["benchmarks"]) and not Path(directory).is_dir():
        raise InputError(
            f"config: brain: cowley2023: directory: no folder {directory}; give a path from the repository root"
        )


def splits_of(dataset: Mapping) -> list[str]:
    """Names of the splits that a data set will have: those of its own table, or those that are made."""
    if "table" in dataset:
        with open(dataset["table"], encoding="utf-8-sig", errors="replace") as file:
            header = file.readline().lower()
            if header.startswith("sep="):  # Excel's, before the header
                header = file.readline().lower()
        columns = (column.strip(' \t\n"') for column in re.split("[,;\t]", header))
        own = [column for column in columns if re.fullmatch("split_[0-9]+", column)]
        if own:
            return own
    return [f"split_{k + 1}" for k in range(dataset.get("n_splits", N_SPLITS))]


def check_dataset(name: str, dataset: Mapping) -> None:
    """Raise InputError where a data set's keys do not say where it is, or name what is not there."""
    where = f"config: datasets: {name}: "
    places = [key for key in ("directory", "archive", "url") if key in dataset]
    if len(places) > 1:
        raise InputError(f"{where}{' and '.join(places)} both say where it is; leave one of them out")
    if not places and dataset["source"] in ("memcat", "figrim"):
        raise InputError(f"{where}{dataset['source']} cannot be downloaded; name its directory: or archive:")
    if "group" in dataset and "stratify" in dataset:
        raise InputError(f"{where}group keeps groups on one side, stratify on both; leave one of them out")
    if "sha256" in dataset and "directory" in dataset:
        raise InputError(f"{where}sha256 is an archive's; leave it out beside directory:")
    for key, kind, there in (
        ("table", "file", Path.is_file),
        ("archive", "file", Path.is_file),
        ("directory", "folder", Path.is_dir),
        ("images", "folder", Path.is_dir),
    ):
        named = dataset.get(key, [])
        for path in [named] if isinstance(named, str) else named:
            if not there(Path(path)):
                raise InputError(f"{where}{key}: no {kind} {path}; give a path from the repository root")


def read_models(path: Path) -> list[dict]:
    """Rows of the model table: model, timm_name, weights, layers (a pattern, may be empty)."""
    if not path.is_file():
        raise InputError(f"config: models: no file {path}; give a path as seen from the repository root")
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if not line.startswith("#")]
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not in UTF-8; save it as tab-separated text in UTF-8") from None
    reader = csv.DictReader(lines, delimiter="\t")
    rows = list(reader)
    if not rows:
        raise InputError(f"{path}: no models; each line is model, timm_name, weights, layers, separated by tabs")
    if "model" not in reader.fieldnames:
        raise InputError(
            f"{path}: its first line is {lines[0]!r}; it must name the columns model, timm_name, weights, layers, "
            "separated by tabs"
        )
    seen = set()
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise InputError(f"{path}: model {number}: more cells than the header has columns; separate by one tab")
        row = {key: value.strip() if isinstance(value, str) else value for key, value in row.items() if value}
        error = _error("models", row)
        if error:
            raise InputError(f"{path}: model {number}: {_where(error.absolute_path)}{_reason(error)}")
        if not MODEL_ID.fullmatch(row["model"]):
            raise InputError(f"{path}: model {number}: {row['model']!r}: use letters, digits, dot, dash, underscore")
        if TUNED in row["model"]:
            raise InputError(f"{path}: model {number}: {row['model']!r}: {TUNED!r} is for models that are fine-tuned")
        if row["model"] in seen:
            raise InputError(f"{path}: model {number}: {row['model']!r} occurs before; give it another name")
        seen.add(row["model"])
        rows[number - 1] = row
    return rows


def _error(schema: str, instance):
    """What is most wrong with `instance`; None where nothing is."""
    validator = _validator(schema)
    from jsonschema.exceptions import best_match

    return best_match(validator.iter_errors(instance))


@cache
def _validator(schema: str):
    # jsonschema takes along what it finds to check formats with, and this one builds grammars for a second or two as
    # it is imported, in every job on every node. No schema here has a format, so it counts as not installed.
    grammars = "rfc3987_syntax"
    sys.modules.setdefault(grammars, None)
    from jsonschema import Draft202012Validator

    if sys.modules[grammars] is None:
        del sys.modules[grammars]
    return Draft202012Validator(yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text()))


def _where(path) -> str:
    return "".join(f"{key}: " for key in path)


def _reason(error) -> str:
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(map(str, set(error.instance) - set(known)))
        return f"unknown key {unknown[0]!r}; known are {', '.join(known)}"
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))
        return f"missing key {missing[0]!r}"
    if error.validator == "type":
        return f"{error.message}{_right(error)}"
    return error.message


def _right(error) -> str:
    """How to write what stands as something of another type; nothing where there is no telling."""
    given, wanted = error.instance, error.validator_value
    if given is False and "null" in wanted:
        return f"; write {error.absolute_path[-1]}: null"
    if "string" in wanted and isinstance(given, bool | int | float | datetime.date):
        return "; YAML reads words like no and on, numbers and dates as such: put it in quotes"
    if "object" in wanted and "examples" in error.schema and isinstance(given, str):
        return f"; write {error.schema['examples'][0]}"
    if "array" in wanted and isinstance(given, str | int):
        return f"; write {error.absolute_path[-1]}: [{given}]"
    return ""
