"""Time one layer's scores beside the packages that define them: writes results/bench/scoring.csv.

    PYTHONPATH=workflow .venv/bin/python bench/scoring.py [--repeats 3] [--quick]

Brain similarity is compared with brainscore-vision's own `pls` metric, memorability with scikit-learn's
`PLSRegression` fitted on each split, both with ikpls (bench/peer_ikpls.py, in its own environment). All get the same
arrays in memory and as many threads; memscore's seconds are the median of `--repeats`, a peer's of fewer, since it
takes so much longer. `--quick` is a hundredth of the size, to see that the bench works.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from machine import THREADS
from scipy.stats import spearmanr

from memscore import correlation
from memscore.files import write_rows
from memscore.scores import memorability
from memscore.scores.pls import fit_splits
from memscore.stimuli import benchmarks

SPLITS, COMPONENTS = 5, 25


def layer(n, p, seed=0):
    """Activations (n, p) with a spectrum that falls like a layer's, float32."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 200), dtype=np.float32) * (1 / np.sqrt(1 + np.arange(200))).astype(np.float32)
    return z @ rng.standard_normal((200, p), dtype=np.float32) + 0.3 * rng.standard_normal((n, p), dtype=np.float32)


def timed(call, repeats):
    """(median, smallest, largest) seconds and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return (statistics.median(seconds), min(seconds), max(seconds)), result


def row(measurement, size, ours, repeats, peer="", theirs=None, peer_repeats=0, difference=None, of=""):
    return {
        "measurement": measurement,
        "size": size,
        "peer": peer,
        "memscore_seconds": round(ours[0], 4),
        "memscore_min": round(ours[1], 4),
        "memscore_max": round(ours[2], 4),
        "peer_seconds": round(theirs[0], 3) if theirs else None,
        "ratio": round(theirs[0] / ours[0], 1) if theirs else None,
        "difference": difference,
        "difference_of": of,
        "repeats": repeats,
        "peer_repeats": peer_repeats,
        "threads": THREADS,
    }


def recordings(n, m, seed=1):
    """Responses (n, m) of sites that see what the layer sees, and noise; eight kinds of objects."""
    rng = np.random.default_rng(seed)
    signal = layer(n, 50) @ rng.standard_normal((50, m))
    return signal / signal.std(0) + rng.standard_normal((n, m)), np.sort(rng.choice([f"kind_{k}" for k in range(8)], n))


def brainscore_metric(x, y, ids, kinds):
    """Brain-Score's own `pls` metric of the layer."""
    os.environ.update(BS_INSTALL_DEPENDENCIES="no", RESULTCACHING_DISABLE="1", TQDM_DISABLE="1")
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_vision import load_metric

    def assembly(values, name):
        return NeuroidAssembly(
            values,
            dims=["presentation", "neuroid"],
            coords={
                "stimulus_id": ("presentation", ids),
                "object_name": ("presentation", kinds),
                "neuroid_id": ("neuroid", np.arange(values.shape[1])),
                name: ("neuroid", [name] * values.shape[1]),
            },
        )

    metric = load_metric("pls", crossvalidation_kwargs={"stratification_coord": "object_name"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(metric(assembly(x, "layer"), assembly(y, "region")))


def ikpls(x, y, train, repeats):
    """(seconds, held-out predictions) of ikpls on the same splits."""
    with tempfile.TemporaryDirectory() as folder:
        data, predicted = Path(folder, "data.npz"), Path(folder, "predicted.npy")
        np.savez(data, x=x, y=y, train=train)
        command = [".bench/ikpls/bin/python", "bench/peer_ikpls.py", data, predicted]
        command += ["--components", str(COMPONENTS), "--repeats", str(repeats)]
        done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
        seconds = json.loads(done.stdout)["seconds"]
        return (statistics.median(seconds), min(seconds), max(seconds)), np.load(predicted)


def brain_rows(n, p, m, repeats, peers):
    x, (y, kinds) = layer(n, p), recordings(n, m)
    ids = np.array([f"im{i:05d}" for i in range(n)])
    train = benchmarks.cross_validation(n, kinds)

    def ours():
        fitted = fit_splits(x, y, train, COMPONENTS)
        return [correlation.pearson(fitted.predict(k, ~rows), y[~rows]) for k, rows in enumerate(train)]

    seconds, r = timed(ours, repeats)
    score = benchmarks.median_then_mean(np.stack(r))[0]
    size = f"{n} x {p} x {m} sites, {len(train)} splits"
    if not peers:
        yield row("brain", size, seconds, repeats)
        return
    theirs, their_score = timed(lambda: brainscore_metric(x, y, ids, kinds), 1)
    yield row("brain", size, seconds, repeats, "brainscore-vision", theirs, 1, abs(score - their_score), "score")
    theirs, predicted = ikpls(x, y, train, 2)
    r = [correlation.pearson(predicted[k][~rows], y[~rows]) for k, rows in enumerate(train)]
    difference = abs(score - benchmarks.median_then_mean(np.stack(r))[0])
    yield row("brain", size, seconds, repeats, "ikpls", theirs, 2, difference, "score")


def benchmark_rows(n, p, m, repeats):
    """One layer beside 1, 2 and 4 benchmarks of a size."""
    x, train = layer(n, p), np.stack([np.random.default_rng(k).permutation(n) < 0.9 * n for k in range(10)])
    for count in (1, 2, 4):
        sites = [recordings(n, m, seed)[0] for seed in range(count)]

        def score(sites=sites):
            fits = (fit_splits(x, y, train, COMPONENTS) for y in sites)
            return [fitted.predict(k, ~rows) for fitted in fits for k, rows in enumerate(train)]

        seconds, _ = timed(score, repeats)
        yield row("brain, several benchmarks", f"{n} x {p} x {m} sites, {count} benchmarks", seconds, repeats)


def memorability_rows(n, p, repeats, peers):
    from sklearn.cross_decomposition import PLSRegression

    x, rng = layer(n, p), np.random.default_rng(2)
    scores = x[:, :40] @ rng.standard_normal(40)
    scores = scores / scores.std() + rng.standard_normal(n)
    # LaMem's proportions, and scores of each split's own as LaMem has them.
    places = np.stack([rng.permutation(n) for _ in range(SPLITS)])
    train, test = places < round(n * 45_000 / 58_741), places >= n - round(n * 10_000 / 58_741)
    own = scores + 0.3 * rng.standard_normal((SPLITS, n))
    seconds, scored = timed(lambda: memorability.score(x, own, train, test, COMPONENTS), repeats)
    size = f"{n} x {p}, {SPLITS} splits"
    if not peers:
        yield row("memorability", size, seconds, repeats)
        return

    def sklearn():
        fits = [PLSRegression(COMPONENTS, scale=False).fit(x[a], own[k][a]) for k, a in enumerate(train)]
        return [spearmanr(f.predict(x[b]).ravel(), own[k][b]).statistic for k, (f, b) in enumerate(zip(fits, test))]  # noqa: B905

    theirs, their_rho = timed(sklearn, 1)
    yield row(
        "memorability", size, seconds, repeats, "scikit-learn", theirs, 1, np.abs(scored.rho - their_rho).max(), "rho"
    )
    total = [0.0, 0.0, 0.0]
    their_rho = []
    for k in range(SPLITS):  # its targets are the same in all splits of a call
        theirs, predicted = ikpls(x, own[k][:, None], train[[k]], 1)
        total = [a + b for a, b in zip(total, theirs, strict=True)]
        their_rho.append(spearmanr(predicted[0, test[k], 0], own[k][test[k]]).statistic)
    yield row("memorability", size, seconds, repeats, "ikpls", total, 1, np.abs(scored.rho - their_rho).max(), "rho")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    n_brain, n_memory, p, m = (320, 2000, 60, 30) if args.quick else (3200, 58_741, 1000, 168)
    rows = [*brain_rows(n_brain, p, m, args.repeats, peers=True)]
    rows += memorability_rows(n_memory, p, args.repeats, peers=True)
    # How cost grows with stimuli and features.
    for n, features in [(n_brain // 4, p), (n_brain // 2, p), (n_brain, 2 * p), (n_brain, round(4.096 * p))]:
        rows += brain_rows(n, features, m, max(args.repeats // 2, 1), peers=False)
    rows += benchmark_rows(n_brain, p, m, max(args.repeats // 2, 1))
    for n, features in [(n_memory // 4, p), (n_memory // 2, p), (n_memory, 2 * p), (n_memory, round(4.096 * p))]:
        rows += memorability_rows(n, features, max(args.repeats // 2, 1), peers=False)
    # What was measured stays beside what only shows that it works.
    write_rows(f"results/bench/{'quick-' if args.quick else ''}scoring.csv", rows)
    for each in rows:
        print(each)


if __name__ == "__main__":
    main()
