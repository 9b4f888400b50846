"""Time ikpls on splits, with the model that memscore.pls.predict_splits has: PLS on centred, unscaled data.

    .bench/ikpls/bin/python bench/peer_ikpls.py data.npz predictions.npy --components 25 --jobs 2

data.npz has what `predict_splits` is given: `x` (n_stimuli, n_features), `y` (n_stimuli, n_targets) and `train`
(n_splits, n_stimuli), True where a stimulus is trained on. Means are those of each split's training stimuli.

ikpls's fast cross-validation (`ikpls.fast_cross_validation.numpy.PLS.cross_validate`) takes one fold label a stimulus:
every stimulus is held out exactly once. Where the splits are such a partition, that is what is timed, in one call
(`fast`). Random splits, whose held-out parts overlap, it cannot be given; there each split is fitted on its training
stimuli and predicts the others (`ikpls.numpy.PLS`, `fit` and `predict`), split beside split with joblib as ikpls
itself does it (`fit`).

Timed is all from the arrays in memory to the predictions of held-out stimuli (`fast` predicts with every smaller
number of components too: its API has no other way). With more than one job the first repeat also starts joblib's
processes. OMP_NUM_THREADS says how many threads the matrix products of a single job have.
predictions.npy: (n_splits, n_stimuli, n_targets), NaN for training stimuli.
"""

import argparse
import json
import sys
import time
from contextlib import redirect_stdout

import numpy as np
from ikpls import __version__
from ikpls.fast_cross_validation.numpy import PLS as FastPLS
from ikpls.numpy import PLS
from joblib import Parallel, delayed

CENTRED = {"center_X": True, "center_Y": True, "scale_X": False, "scale_Y": False}


def last(_, predicted):
    """What `cross_validate` keeps of a fold: the predictions with all components."""
    return predicted[-1]


def fit_predict(x, y, rows, components, algorithm):
    """Fit on the stimuli `rows`, predict the others."""
    return PLS(algorithm, **CENTRED).fit(x[rows], y[rows], components).predict(x[~rows], components)


def predict(x, y, train, components, algorithm, jobs, partition):
    """Each split's predictions of its held-out stimuli."""
    if partition:
        folds = (~train).argmax(0)
        of_fold = FastPLS(algorithm, **CENTRED).cross_validate(x, y, components, folds, last, n_jobs=jobs, verbose=0)
        return [of_fold[split] for split in range(len(train))]
    return Parallel(n_jobs=jobs)(delayed(fit_predict)(x, y, rows, components, algorithm) for rows in train)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help=".npz with x, y and train")
    parser.add_argument("predictions", help=".npy to write")
    parser.add_argument("--components", type=int, default=25)
    parser.add_argument("--jobs", type=int, default=1, help="joblib's n_jobs (1: no processes beside this one)")
    parser.add_argument("--algorithm", type=int, choices=[1, 2], help="1 for more features than stimuli, else 2")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()

    with np.load(args.data) as data:
        x, y, train = data["x"].astype(np.float64), data["y"].astype(np.float64), data["train"].astype(bool)
    algorithm = args.algorithm or (1 if x.shape[1] > x.shape[0] else 2)  # as ikpls's documentation advises
    partition = bool(((~train).sum(0) == 1).all())
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        with redirect_stdout(sys.stderr):  # ikpls says what it does
            predicted = predict(x, y, train, args.components, algorithm, args.jobs, partition)
        seconds.append(time.perf_counter() - start)

    predictions = np.full((*train.shape, y.shape[1]), np.nan)
    for split, rows in enumerate(train):
        predictions[split, ~rows] = predicted[split]
    np.save(args.predictions, predictions)
    report = {"ikpls": __version__, "numpy": np.__version__, "method": "fast" if partition else "fit"}
    report |= {"algorithm": algorithm, "components": args.components, "jobs": args.jobs, "seconds": seconds}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
