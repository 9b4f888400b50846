"""Brain-Score's own PLS benchmarks, staged from brainscore-vision into files that need it no more.

Written for brainscore-vision 2.4. Its registry gives the benchmark; the benchmark gives its assembly (averaged over
repetitions), stimulus set, cross-validation and ceiling. Downloads are cached where Brain-Score caches them
(`BRAINIO_HOME`, by default ~/.brainio); nothing else is left outside the study.
"""

import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from memscore.errors import InputError
from memscore.files import replacing
from memscore.stimuli import benchmarks, tables

# Of the screen that networks look at: what most of Brain-Score's models say of themselves.
VISUAL_DEGREES = 8
# Brain-Score's experiments differ in more than the regression; these names say "one region, at one time, by PLS".
PLS_NAME = re.compile(r"[^.]+(\.[^.-]+)?-pls")
# boto tries five times for a minute each, once with credentials and once without, where a firewall says nothing.
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 10, 30, 3


def stage_stimuli(table_path: Path, benchmark: str) -> None:
    """Copy a benchmark's stimuli, placed on an 8-degree screen, beside their table."""
    from brainscore_vision.benchmark_helpers import screen

    with tempfile.TemporaryDirectory() as directory:
        with brainscore(benchmark):
            loaded = load(benchmark)
            # Resized images would stay in the user's home, in a folder that another staging empties.
            screen.root_path = Path(directory)
            shown = screen.place_on_screen(
                loaded._assembly.stimulus_set,
                target_visual_degrees=VISUAL_DEGREES,
                source_visual_degrees=loaded._visual_degrees,
            )
        rows = []
        for number, stimulus in enumerate(shown["stimulus_id"], start=1):
            source = Path(shown.get_stimulus(stimulus))
            path = Path("images", f"{number:05d}{source.suffix.lower()}")
            with replacing(table_path.parent / path) as temporary:
                shutil.copyfile(source, temporary)
            rows.append({"stimulus_id": str(stimulus), "path": str(path)})
    tables.write_table(table_path, pd.DataFrame(rows))


def load_benchmark(benchmark: str, table_path: Path) -> xr.Dataset:
    """Responses, cross-validation and ceiling of a benchmark, as Brain-Score has them.

    Raises InputError for benchmarks that score something other than cross-validated PLS predictions.
    """
    with brainscore(benchmark):
        loaded = load(benchmark)
        assembly = loaded._assembly.transpose("presentation", "neuroid")
        metric = loaded._similarity_metric
        _, splits = metric.cross_validation._split.build_splits(assembly)
        stratum = metric.cross_validation._stratification_coord
        ceiling = loaded.ceiling
    train = np.zeros((len(splits), assembly.sizes["presentation"]), dtype=bool)
    test = np.zeros_like(train)
    for k, (train_rows, test_rows) in enumerate(splits):
        train[k, train_rows], test[k, test_rows] = True, True
    neuroids = assembly["neuroid_id"].values
    n = assembly.sizes["presentation"]
    return benchmarks.benchmark_dataset(
        assembly.values.astype(np.float64),
        {"": train},
        {"": test},
        ceiling_per_neuroid(ceiling, neuroids),
        stimulus_ids=[str(stimulus) for stimulus in assembly["stimulus_id"].values],
        strata=[str(value) for value in assembly[stratum].values] if stratum else [""] * n,
        neuroid_ids=[str(neuroid) for neuroid in neuroids],
        neuroid_sessions=[""] * len(neuroids),
        region=str(loaded.region),
        ceiling=float(ceiling),
        source=f"brainscore-vision {version()} {benchmark} (benchmark version {loaded.version})",
        stimulus_set=str(assembly.stimulus_set.identifier),
        visual_degrees=str(loaded._visual_degrees),
    )


def neural_benchmarks(benchmark: str, table_path: Path) -> list:
    """The `NeuralBenchmark` that brainscore-vision itself has under this name."""
    with brainscore(benchmark):
        return [load(benchmark)]


def neural_benchmark(
    identifier: str,
    trials: np.ndarray,
    stimulus_ids: Sequence[str],
    strata: Sequence[str] | None,
    neuroid_ids: Sequence[str],
    region: str,
):
    """A `NeuralBenchmark` made of Brain-Score's own classes, of recordings in the shapes of `make_benchmark`.

    Brain-Score sorts stimuli by stratum and identifier and draws its splits over that order: give them in it.
    """
    from brainscore_core import Score
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuronRecordingAssembly
    from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
    from brainscore_vision import load_ceiling, load_metric
    from brainscore_vision.benchmark_helpers.neural_common import NeuralBenchmark, average_repetition

    stimulus, repetition = np.divmod(np.arange(trials.shape[0] * trials.shape[2]), trials.shape[2])
    table = {"object_name": np.array(strata)} if strata is not None else {}
    table |= {"stimulus_id": np.array(stimulus_ids)}
    assembly = NeuronRecordingAssembly(
        trials.transpose(0, 2, 1).reshape(-1, trials.shape[1], 1),
        dims=["presentation", "neuroid", "time_bin"],
        coords={name: ("presentation", values[stimulus]) for name, values in table.items()}
        | {"repetition": ("presentation", repetition), "presentation_number": ("presentation", stimulus)}
        | {"neuroid_id": ("neuroid", list(neuroid_ids)), "region": ("neuroid", [region] * trials.shape[1])}
        | {"time_bin_start": ("time_bin", [0]), "time_bin_end": ("time_bin", [100])},
    ).squeeze("time_bin")
    averaged = average_repetition(assembly)
    averaged.attrs["stimulus_set"] = StimulusSet(table)
    averaged.attrs["stimulus_set"].identifier = identifier
    repeated = trials.shape[2] > 1
    return NeuralBenchmark(
        identifier=identifier,
        version=1,
        assembly=averaged,
        similarity_metric=load_metric(
            "pls", crossvalidation_kwargs={"stratification_coord": None if strata is None else "object_name"}
        ),
        visual_degrees=VISUAL_DEGREES,
        number_of_trials=trials.shape[2],
        ceiling_func=lambda: load_ceiling("internal_consistency")(assembly) if repeated else Score(np.nan),
        parent=region,
    )


def load(identifier: str):
    """The benchmark with this identifier.

    Raises InputError where Brain-Score does not know it, or where it is no cross-validated PLS benchmark.
    """
    import brainscore_vision
    from brainscore_vision.benchmark_helpers.neural_common import NeuralBenchmark
    from brainscore_vision.metrics.regression_correlation.metric import CrossRegressedCorrelation
    from sklearn.cross_decomposition import PLSRegression

    registered = brainscore_vision.benchmark_registry.get(identifier)
    if registered is None and identifier not in known_benchmarks():
        near = difflib.get_close_matches(identifier, known_benchmarks(), 4, 0.5)
        raise InputError(
            f"config: brain: benchmarks: brainscore-vision {version()} has no benchmark {identifier!r}"
            + (f"; similar names: {', '.join(near)}" if near else "")
        )
    # Constructing a benchmark downloads its data: what the name tells is refused before.
    benchmark = metric = None
    if PLS_NAME.fullmatch(identifier):
        benchmark = registered() if registered else brainscore_vision.load_benchmark(identifier)
        metric = getattr(benchmark, "_similarity_metric", None)
    regression = getattr(getattr(metric, "regression", None), "_regression", None)
    if (
        type(benchmark) is not NeuralBenchmark
        or type(metric) is not CrossRegressedCorrelation
        or not isinstance(regression, PLSRegression)
        or (regression.n_components, regression.scale) != (benchmarks.N_COMPONENTS, False)
    ):
        raise InputError(
            f"config: brain: benchmarks: {identifier} is not a cross-validated PLS benchmark; memscore scores those "
            "whose name ends in -pls and that regress one recorded population at one time"
        )
    return benchmark


@contextmanager
def brainscore(identifier: str) -> Iterator[None]:
    """Run Brain-Score's code with no surprises; what goes wrong in it becomes an InputError that says what to do."""
    # Without these it runs pip for a benchmark's plugins, and takes a ceiling of an earlier version from its cache.
    os.environ.setdefault("BS_INSTALL_DEPENDENCIES", "no")
    os.environ["RESULTCACHING_DISABLE"] = "1"
    give_up_soon()
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{identifier}: {explain(error, identifier)}") from error


def give_up_soon() -> None:
    """Have boto fail within a minute or two, not ten, where there is no internet."""
    import boto3
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.set_default_client_config(
        Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": ATTEMPTS})
    )
    boto3.setup_default_session(botocore_session=session)


def explain(error: Exception, identifier: str) -> str:
    """What went wrong when Brain-Score loaded a benchmark, and what to do."""
    from boto3.exceptions import RetriesExceededError
    from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError, NoCredentialsError
    from brainscore_core.supported_data_standards.brainio.fetch import get_local_data_path

    cache = get_local_data_path()
    # BrainIO downloads with credentials, then without, and raises both failures as one list.
    causes = error.args[0] if error.args and isinstance(error.args[0], list) else [error]
    unanswered = [c for c in causes if isinstance(c, BotoCoreError | RetriesExceededError)]
    cause = next((c for c in reversed(unanswered) if not isinstance(c, NoCredentialsError)), causes[-1])
    text = " ".join(str(cause).split())[:300]
    if mismatch := re.search(r"SHA1 mismatch. Expected: (\w+), Actual: (\w+)", text):
        broken = Path(cache, mismatch[1])
        return f"a download is broken (SHA-1 {mismatch[2]}, expected {mismatch[1]}); remove {broken} and run again"
    if isinstance(cause, FlexibleChecksumError):
        return f"a download came through broken ({text}); run again"
    if isinstance(cause, BotoCoreError | RetriesExceededError):
        return (
            f"its data cannot be downloaded, the server does not answer or hangs up ({text}); run staging again where "
            "there is internet, such as a login node, or copy Brain-Score's cache from another machine to "
            f"{cache}"
        )
    if isinstance(cause, ClientError):
        status = cause.response["ResponseMetadata"]["HTTPStatusCode"]
        if status >= 500:
            return f"its data cannot be downloaded, the server has trouble ({text}); run again later"
        public = public_variant(identifier)
        if public:
            return f"its data are private and need Brain-Score's credentials; its public variant is {public}"
        return f"its data are not there, or need Brain-Score's credentials ({text})"
    interrupted = f"; if an earlier run was stopped while it unpacked, remove {cache} and run again"
    return f"brainscore-vision {version()} cannot load it: {type(cause).__name__}: {text}" + (
        interrupted if isinstance(cause, AssertionError) else ""
    )


def public_variant(identifier: str) -> str | None:
    """`MajajHong2015public.IT-pls` of `MajajHong2015.IT-pls`."""
    data_set, _, rest = identifier.partition(".")
    public = f"{data_set}public.{rest}"
    return public if public in known_benchmarks() else None


def known_benchmarks() -> list[str]:
    """Identifiers of all benchmarks that the installed brainscore-vision registers, and of those added to it here."""
    import brainscore_vision

    plugins = Path(brainscore_vision.__file__).parent / "benchmarks"
    pattern = re.compile(r"""benchmark_registry\[["']([^"']+)["']\]""")
    found = {name for file in plugins.glob("*/__init__.py") for name in pattern.findall(file.read_text("utf-8"))}
    return sorted(found | set(brainscore_vision.benchmark_registry))


def ceiling_per_neuroid(ceiling, neuroids: np.ndarray) -> np.ndarray:
    """Array (n_half_splits, n_neuroids) behind a ceiling, NaN where it does not say."""
    raw = ceiling.attrs.get("raw")
    if raw is None or set(raw.dims) != {"split", "neuroid"}:
        return np.full((benchmarks.N_SPLITS, len(neuroids)), np.nan)
    raw = raw.transpose("split", "neuroid")
    column = {neuroid: i for i, neuroid in enumerate(raw["neuroid_id"].values)}
    return raw.values[:, [column[neuroid] for neuroid in neuroids]]


def version() -> str:
    from importlib.metadata import version

    return version("brainscore-vision")
