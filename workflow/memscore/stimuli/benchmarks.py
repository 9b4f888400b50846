"""Brain similarity of a layer, as Brain-Score defines it, from benchmark files that stand alone.

A benchmark is a netCDF file with

- `responses` [stimulus, neuroid]: mean over repetitions, NaN where a session did not show the stimulus
- `train`, `test` [session, split, stimulus]: Brain-Score's own cross-validation of each recording session
- `ceiling` and what it comes from, `neuroid_ceiling` [half_split, neuroid]
- the coordinates `stimulus_id`, `stratum`, `neuroid_id`, `neuroid_session`, `session` and `region`

Most benchmarks have one session. Where sites were recorded on different stimuli, each session is regressed on its
own, and the sites are pooled. Staging writes the file; scoring needs neither brainscore-vision nor scikit-learn.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from memscore.correlation import pearson
from memscore.errors import InputError
from memscore.files import replacing

N_SPLITS = 10
TRAIN_SIZE = 0.9
RANDOM_STATE = 1
# Of Brain-Score's PLS regression.
N_COMPONENTS = 25


def make_benchmark(
    trials: np.ndarray,
    stimulus_ids: Sequence[str],
    strata: Sequence[str] | None,
    neuroid_ids: Sequence[str],
    region: str,
    session: str = "",
    **attrs: str,
) -> xr.Dataset:
    """Benchmark of one session from its responses to single presentations.

    trials : array of shape (n_stimuli, n_neuroids, n_repetitions), NaN where a repetition is missing
    strata : per stimulus, what the splits are stratified by; None for splits that are not
    attrs : source, visual degrees, stimulus set

    Raises InputError where a neuroid has no response to a stimulus.
    """
    train = cross_validation(len(stimulus_ids), strata)
    return benchmark_dataset(
        nanmean(trials),
        {session: train},
        {session: ~train},
        split_half_reliability(trials),
        stimulus_ids=stimulus_ids,
        strata=[""] * len(stimulus_ids) if strata is None else strata,
        neuroid_ids=neuroid_ids,
        neuroid_sessions=[session] * len(neuroid_ids),
        region=region,
        **attrs,
    )


def benchmark_dataset(
    responses: np.ndarray,
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    neuroid_ceiling: np.ndarray,
    *,
    stimulus_ids: Sequence[str],
    strata: Sequence[str],
    neuroid_ids: Sequence[str],
    neuroid_sessions: Sequence[str],
    region: str,
    ceiling: float | None = None,
    **attrs: str,
) -> xr.Dataset:
    """Benchmark from its parts, in the shapes of the file.

    train, test : by session, boolean arrays of shape (n_splits, n_stimuli)
    ceiling : by default what Brain-Score makes of `neuroid_ceiling`: median over neuroids, mean over half-splits

    Raises InputError where a neuroid has no response to a stimulus of its session.
    """
    for session in train:
        sites = np.array(neuroid_sessions) == session
        missing = np.isnan(responses) & (train[session] | test[session]).any(0)[:, None] & sites
        if missing.any():
            stimulus, neuroid = np.argwhere(missing)[0]
            raise InputError(
                f"{attrs.get('source', region)}: neuroid {neuroid_ids[neuroid]} has no response to stimulus "
                f"{stimulus_ids[stimulus]} ({missing.sum()} are missing in all); PLS regression needs every one"
            )
    if ceiling is None:
        ceiling, _ = median_then_mean(neuroid_ceiling)
    return xr.Dataset(
        {
            "responses": (("stimulus", "neuroid"), responses),
            "train": (("session", "split", "stimulus"), np.stack(list(train.values()))),
            "test": (("session", "split", "stimulus"), np.stack(list(test.values()))),
            "neuroid_ceiling": (("half_split", "neuroid"), neuroid_ceiling),
            "ceiling": ceiling,
        },
        coords={
            "stimulus_id": ("stimulus", list(stimulus_ids)),
            "stratum": ("stimulus", list(strata)),
            "neuroid_id": ("neuroid", list(neuroid_ids)),
            "neuroid_session": ("neuroid", list(neuroid_sessions)),
            "session": list(train),
            "region": region,
        },
        attrs=attrs,
    )


def in_order_of(benchmark: xr.Dataset, stimulus_ids: Sequence[str]) -> xr.Dataset:
    """The benchmark with its stimuli in the order of `stimulus_ids`; those it did not show are in neither part.

    Raises InputError where a stimulus of the benchmark is not among them.
    """
    row = {stimulus: i for i, stimulus in enumerate(benchmark["stimulus_id"].values)}
    unknown = sorted(set(row) - set(stimulus_ids))
    if unknown:
        raise InputError(
            f"{benchmark.attrs.get('source', 'benchmark')}: stimulus {unknown[0]!r} is not in its stimulus set "
            f"({len(unknown)} are not); stage both again: remove them under resources/"
        )
    rows = np.array([row.get(stimulus, -1) for stimulus in stimulus_ids])
    shown = xr.DataArray(rows >= 0, dims="stimulus")
    ordered = benchmark.isel(stimulus=rows)
    ordered["responses"] = ordered["responses"].where(shown)
    for part in ("train", "test"):
        ordered[part] = ordered[part].astype(bool) & shown
    # Bare values: an xarray stratum would bring the old identifiers along.
    strata = np.where(shown.values, ordered["stratum"].values, "")
    return ordered.assign_coords(stimulus_id=("stimulus", list(stimulus_ids)), stratum=("stimulus", strata))


def pool(sessions: Sequence[xr.Dataset], **attrs: str) -> xr.Dataset:
    """One benchmark of several sessions: all their neuroids, each over the stimuli of its own session.

    The ceiling is that of all neuroids; NaN where a session has no repetitions, since the ceiling of the other
    sessions is not that of its sites.
    """
    ids = list(dict.fromkeys(stimulus for session in sessions for stimulus in session["stimulus_id"].values))
    aligned = [in_order_of(session, ids) for session in sessions]
    strata = np.stack([session["stratum"].values.astype(str) for session in aligned])
    known = all(np.isfinite(session["ceiling"]) for session in sessions)
    return benchmark_dataset(
        np.concatenate([session["responses"].values for session in aligned], 1),
        *({str(s["session"].values[0]): s[part].values[0] for s in aligned} for part in ("train", "test")),
        np.concatenate([session["neuroid_ceiling"].values for session in sessions], 1),
        stimulus_ids=ids,
        strata=[next(filter(None, column), "") for column in strata.T],
        neuroid_ids=np.concatenate([session["neuroid_id"].values for session in sessions]),
        neuroid_sessions=np.concatenate([session["neuroid_session"].values for session in sessions]),
        region=str(sessions[0]["region"].values),
        ceiling=None if known else np.nan,
        **attrs,
    )


def write_benchmark(path: str | Path, benchmark: xr.Dataset) -> None:
    """Write a benchmark dataset."""
    with replacing(path) as temporary:
        benchmark.to_netcdf(temporary, encoding={part: {"dtype": "i1"} for part in ("train", "test")})


def read_benchmark(path: str | Path) -> xr.Dataset:
    """Load a benchmark dataset whole."""
    return xr.load_dataset(path)


def cross_validation(n_stimuli: int, strata: Sequence[str] | None = None) -> np.ndarray:
    """Brain-Score's training stimuli: boolean array of shape (10, n_stimuli); the others are tested on.

    `StratifiedShuffleSplit(n_splits=10, train_size=0.9, random_state=1)` over stimuli in the assembly's
    order, or `ShuffleSplit` of the same (brainscore-vision 2.4.2, `metric_helpers.transformations.Split`).
    """
    from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

    splitter = ShuffleSplit if strata is None else StratifiedShuffleSplit
    splits = splitter(N_SPLITS, train_size=TRAIN_SIZE, random_state=RANDOM_STATE)
    train = np.zeros((N_SPLITS, n_stimuli), dtype=bool)
    for k, (rows, _) in enumerate(splits.split(np.zeros(n_stimuli), strata)):
        train[k, rows] = True
    return train


def split_half_reliability(trials: np.ndarray) -> np.ndarray:
    """Reliability of the mean response, from Pearson r of ten half-splits of the repetitions: array (10, n_neuroids).

    Brain-Score's: `ShuffleSplit(n_splits=10, train_size=0.5, random_state=1)` over repetitions, and Spearman–Brown
    (brainscore-vision 2.4.2, `metrics.internal_consistency`). But where repetitions are missing, half of them all would
    be most of what one stimulus has and nothing of another: of such a neuroid, each stimulus' own repetitions are
    halved (`_balanced_reliability`). NaN where nothing was repeated.
    """
    if trials.shape[2] < 2:
        return np.full((N_SPLITS, trials.shape[1]), np.nan)
    from sklearn.model_selection import ShuffleSplit

    splitter = ShuffleSplit(N_SPLITS, train_size=0.5, random_state=RANDOM_STATE)
    half_splits = splitter.split(np.zeros(trials.shape[2]))
    r = np.stack([pearson(nanmean(trials[..., a]), nanmean(trials[..., b])) for a, b in half_splits])
    reliability = 2 * r / (1 + r)
    gaps = ~np.isfinite(trials).all((0, 2))
    if gaps.any():
        reliability[:, gaps] = _balanced_reliability(trials[:, gaps])
    return reliability


def _balanced_reliability(trials: np.ndarray) -> np.ndarray:
    """The same by halves of each stimulus' own repetitions; what was shown once is in the mean response and in no half.

    Spearman–Brown for halves that have more than twice the noise of the whole, as those of odd numbers do: with `noise`
    the variance of the whole's relative to a half's, r / (r + (1 - r) noise), which is 2r / (1 + r) at 1/2.
    """
    present, rng = np.isfinite(trials), np.random.default_rng(RANDOM_STATE)
    reliability = np.full((N_SPLITS, trials.shape[1]), np.nan)
    times = present.sum(-1)
    for split in range(N_SPLITS):
        halves = balanced_halves(present, rng)
        means = [nanmean(np.where(half, trials, np.nan)) for half in halves]
        for site, shown in enumerate(times.T):
            rows = shown > 1
            if rows.sum() > 1:
                (r,) = pearson(*(mean[rows, site : site + 1] for mean in means))
                noise = (1 / shown[shown > 0]).mean() / np.mean([1 / half[rows, site].sum(-1) for half in halves])
                reliability[split, site] = r / (r + (1 - r) * noise)
    return reliability


def balanced_halves(present: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of what is present along the last axis, at random; of an odd number, one or the other has one more."""
    n = present.sum(-1, keepdims=True)
    place = np.where(present, rng.random(present.shape), np.inf).argsort(-1).argsort(-1)
    first = present & (place < (n + rng.integers(0, 2, n.shape)) // 2)
    return first, present & ~first


def nanmean(trials: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    present = np.isfinite(trials)
    count = present.sum(-1)
    total = np.where(present, trials, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def median_then_mean(per_split: np.ndarray) -> tuple[float, float]:
    """Median over neuroids, then mean and standard error over splits, of an array (n_splits, n_neuroids).

    NaN (a silent site, a layer that says nothing) is left out, as xarray leaves it out for Brain-Score.
    """
    scored = per_split[:, np.isfinite(per_split).any(0)]
    if not scored.size:
        return np.nan, np.nan
    medians = np.nanmedian(scored, axis=1)
    return float(np.nanmean(medians)), float(np.nanstd(medians) / np.sqrt(len(medians)))
