"""What a study's numbers rest on: hashes of what went in, and the code, packages and processors that made them."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from memscore import __version__, versions
from memscore.files import replacing, sha256
from memscore.stimuli.tables import read_text

REPOSITORY = Path(__file__).resolve().parents[3]
# Those that decide numbers.
PACKAGES = (
    "snakemake torch torchvision timm safetensors numpy scipy scikit-learn pandas xarray pillow array-api-compat "
    "brainscore-vision brainscore-core"
).split()


def write(path: str | Path, facts: Mapping) -> None:
    """As JSON that a person can read."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def of_weights(file: str) -> dict:
    """Hash of a staged weights file, and what staging noted of where it came from."""
    from safetensors import safe_open

    with safe_open(file, "np") as tensors:
        noted = tensors.metadata() or {}
    return {"sha256": sha256(file)} | {key: noted[key] for key in ("source", "revision") if key in noted}


def of_stimuli(table: str) -> dict:
    """Number of stimuli, and hashes of their table (without paths) and of their image files, in the table's order."""
    stimuli, folder = read_text(table), Path(table).parent
    images = hashlib.sha256("".join(sha256(folder / path) for path in stimuli["path"]).encode())
    return {
        "n_stimuli": len(stimuli),
        "table_sha256": hashlib.sha256(stimuli.drop(columns="path").to_csv(index=False).encode()).hexdigest(),
        "images_sha256": images.hexdigest(),
    }


def of_benchmark(file: str) -> dict:
    """Hash of what a staged benchmark holds, and its shape. The file's own bytes have their time of writing in them."""
    import xarray as xr

    benchmark = xr.load_dataset(file)
    digest = hashlib.sha256(json.dumps(benchmark.attrs, sort_keys=True, default=str).encode())
    for name in sorted(map(str, benchmark.variables)):
        values = benchmark[name].values
        values = values.astype(str) if values.dtype.kind == "O" else values
        digest.update(f"{name} {benchmark[name].dims} {values.dtype.str} {values.shape}".encode())
        digest.update(values.tobytes())
    return {"values_sha256": digest.hexdigest()} | {str(name): int(n) for name, n in benchmark.sizes.items()}


# By what is kept in results/provenance.
RECORDS = {"weights": of_weights, "datasets": of_stimuli, "stimuli": of_stimuli, "benchmarks": of_benchmark}


def of_study(config: Mapping, records: Sequence[str], scores: Mapping[str, pd.DataFrame]) -> dict:
    """All of it, for `results/provenance.json`.

    config : as merged
    records : files of `RECORDS`, `<part>/<name>.json`
    scores : the tables of layers' scores, by what was scored; `device` says what each layer was computed on
    """
    facts = (
        {"memscore": __version__}
        | of_code()
        | {"steps": {step: version for step, (version, _) in versions.STEPS.items()}}
    )
    facts["packages"] = {"python": platform.python_version()} | {name: installed(name) for name in PACKAGES}
    facts["layers_by_device"] = {name: by_device(table) for name, table in scores.items()}
    for file in map(Path, records):
        facts.setdefault(file.parent.name, {})[file.stem] = json.loads(file.read_text(encoding="utf-8"))
    return facts | {"config": dict(config)}


def of_code() -> dict:
    """`commit` of the repository that the package lies in, and whether its tree was `clean`; null without git."""

    def git(*arguments: str) -> str:
        told = subprocess.run(["git", "-C", REPOSITORY, *arguments], capture_output=True, text=True, check=True)
        return told.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() == REPOSITORY:
            return {"commit": git("rev-parse", "HEAD"), "clean": not git("status", "--porcelain", "-uno")}
    except (OSError, subprocess.CalledProcessError):  # No git, or a copy without its history.
        pass
    return {"commit": None, "clean": None}


def installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def by_device(scores: pd.DataFrame) -> dict[str, int]:
    """Number of layers by the processor that computed them; `unknown` for files of before it was noted."""
    layers = scores.drop_duplicates(["model", "layer"])
    devices = layers["device"] if "device" in layers else pd.Series(index=layers.index, dtype=object)
    return {name: int(n) for name, n in devices.fillna("unknown").value_counts().items()}


def described(file: str | Path) -> str:
    """A sentence for the report, with the file's own hash to cite."""
    facts = json.loads(Path(file).read_text(encoding="utf-8"))
    code = f"memscore {facts['memscore']}"
    if facts["commit"]:
        code += f" at commit {facts['commit'][:10]}{'' if facts['clean'] else ' with changes that are not committed'}"
    return (
        f"Made by {code}. The config, hashes of weights, stimuli and recordings, versions of packages and steps, and "
        f"what each layer was computed on are in ``results/provenance.json``, SHA-256 ``{sha256(file)}``."
    )
