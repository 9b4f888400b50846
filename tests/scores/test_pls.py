"""The PLS of memscore against scikit-learn's, converged, over every shape and defect that layers come in."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import ConvergenceWarning

from memscore.scores import pls
from memscore.scores.pls import fit_splits, predict_splits

# Largest difference to scikit-learn, in units of the targets' standard deviation. Measured: 1e-9 at most.
TOLERANCE = 1e-7


def latent(n, p, m, rank=None, noise=0.5, seed=0):
    """Features and targets that share eight latent variables, as layers and sites share an image's content."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, rank or min(n, p)))
    x = z @ rng.standard_normal((z.shape[1], p))
    y = z[:, :8] @ rng.standard_normal((min(8, z.shape[1]), m))
    return x, y + noise * rng.standard_normal((n, m)) * y.std()


def random_splits(n, k=3, share=0.8, seed=1):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n) < share * n for _ in range(k)])


def sklearn_predictions(x, y, train, n_components):
    """Every split by itself, by NIPALS run until nothing changes any more."""
    predictions = []
    for rows in train:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            model = PLSRegression(n_components, scale=False, tol=1e-22, max_iter=100_000).fit(x[rows], y[rows])
        predictions.append(model.predict(x).reshape(y.shape))
    return np.stack(predictions)


def assert_equals_sklearn(x, y, train, n_components=25, tolerance=TOLERANCE):
    ours = predict_splits(x, y, train, n_components)
    theirs = sklearn_predictions(x, y, train, min(n_components, x.shape[1]))
    assert ours.shape == (len(train), *y.shape)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(y.std(), 1e-300))


@pytest.mark.parametrize("m", [1, 3, 30])
@pytest.mark.parametrize("n_components", [1, 25])
@pytest.mark.parametrize(("n", "p"), [(120, 40), (60, 200), (80, 80)], ids=["n>p", "p>n", "p=n"])
def test_shapes(n, p, m, n_components):
    x, y = latent(n, p, m)
    assert_equals_sklearn(x, y, random_splits(n), n_components)


@pytest.mark.parametrize(
    ("n", "p", "m"), [(100, 30, 80), (50, 200, 90), *((100, p, m) for p in (1, 2, 24, 25) for m in (1, 40))]
)
def test_more_targets_or_components_than_features(n, p, m):
    """There are as many components as features."""
    x, y = latent(n, p, m)
    assert_equals_sklearn(x, y, random_splits(n))


@pytest.mark.parametrize("m", [1, 4])
@pytest.mark.parametrize("p", [60, 300], ids=["n>p", "p>n"])
def test_rank_below_the_number_of_components(p, m):
    """Past the rank there is nothing to fit: 25 components are the rank's components."""
    x, y = latent(100, p, m, rank=10)
    train = random_splits(100)
    assert_equals_sklearn(x, y, train, n_components=10)
    np.testing.assert_allclose(predict_splits(x, y, train, 25), predict_splits(x, y, train, 10), atol=1e-9)


def test_rank_lost_in_one_split_only():
    """The second split trains on rows that span three directions, the first on all."""
    x, y = latent(100, 40, 2)
    x[50:] = x[50:53].repeat(17, 0)[:50]
    y[50:] = y[50:53].repeat(17, 0)[:50]
    train = np.stack([np.arange(100) < 80, np.arange(100) >= 50])
    assert_equals_sklearn(x, y, train[:1])
    np.testing.assert_allclose(predict_splits(x, y, train)[1], sklearn_predictions(x, y, train[1:], 2)[0], atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, -37.3])
def test_constant_target_among_others(value):
    x, y = latent(90, 50, 4)
    y[:, 2] = value
    train = random_splits(90)
    assert_equals_sklearn(x, y, train)
    assert np.all(np.ptp(predict_splits(x, y, train)[..., 2], axis=1) == 0), "a silent site's prediction varies"


def test_target_that_is_constant_only_at_first():
    x, y = latent(90, 50, 3)
    y[:40, 1] = 0.1
    assert_equals_sklearn(x, y, np.arange(90)[None] < 80)


def test_target_that_varies_only_where_it_is_held_out():
    """Nothing can be learnt of a site that is silent in training, so its prediction must not vary at all."""
    x, y = latent(90, 50, 3)
    y[:, 1] = 0.1
    y[4, 1] = 1.7
    train = np.stack([np.arange(90) != 4, np.arange(90) % 2 == 1, np.arange(90) < 60])
    assert_equals_sklearn(x, y, train)
    ranges = np.ptp(predict_splits(x, y, train)[..., 1], axis=1)
    assert ranges[0] == 0
    assert ranges[1] == 0
    assert ranges[2] > 1e-3


@pytest.mark.parametrize("p", [60, 200], ids=["n>p", "p>n"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_constant_features(value, p):
    x, y = latent(90, p, 3)
    x[:, 10:20] = value
    train = random_splits(90)
    assert_equals_sklearn(x, y, train)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("p", [1, 20, 200])
def test_everything_constant_predicts_the_training_mean(value, m, p):
    _, y = latent(90, 5, m)
    train = random_splits(90)
    expected = np.stack([y[rows].mean(0) for rows in train])[:, None]
    np.testing.assert_allclose(predict_splits(np.full((90, p), value), y, train), expected.repeat(90, 1), atol=1e-9)
    np.testing.assert_allclose(
        predict_splits(np.full((90, p), value), np.full((90, m), value), train), value, rtol=1e-12
    )


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("background", [0.0, 0.3])
@pytest.mark.parametrize("p", [1, 20, 200])
def test_layer_that_varies_only_where_it_is_held_out(background, m, p):
    """A nearly dead layer answers to one image; where that one is held out, nothing is known but the mean.

    scikit-learn divides by zero here. One such layer must not stop the job that scores it among others.
    """
    _, y = latent(90, 5, m)
    x = np.full((90, p), background)
    x[4] += np.random.default_rng(3).standard_normal(p)
    train = np.stack([np.arange(90) != 4, np.arange(90) % 2 == 1, np.arange(90) < 60])
    predicted = predict_splits(x, y, train)
    expected = np.stack([y[rows].mean(0) for rows in train])[:, None]
    np.testing.assert_allclose(predicted[:2], expected[:2].repeat(90, 1), atol=1e-9)
    assert np.all(np.ptp(predicted[:2], axis=1) == 0), "rounding noise would be correlated with the responses"
    np.testing.assert_allclose(predicted[2, 4], y[4], atol=1e-9)
    np.testing.assert_allclose(predicted[2, [5, 80]], y[train[2] & (np.arange(90) != 4)].mean(0)[None].repeat(2, 0))


@pytest.mark.parametrize("p", [60, 200], ids=["n>p", "p>n"])
def test_large_offset(p):
    """Means of 1e4 beside a spread of 1: nothing may be lost in single-precision sums."""
    x, y = latent(100, p, 3)
    x, train = (x / x.std() + 1e4).astype(np.float32), random_splits(100)
    assert_equals_sklearn(x.astype(np.float64), y + 1e4, train)
    np.testing.assert_array_equal(predict_splits(x, y, train), predict_splits(x.astype(np.float64), y, train))


@pytest.mark.parametrize(
    ("of_features", "of_targets"), [(np.r_[1e4, 1e3, np.ones(58)], 1), (1, [1e4, 1, 1, 1e-4])], ids=["x", "y"]
)
def test_few_far_larger_than_the_others(of_features, of_targets):
    """Transformers have a few channels with activations thousands of times the others'."""
    x, y = latent(120, 60, 4)
    assert_equals_sklearn(x * of_features, y * of_targets, random_splits(120))


@pytest.mark.parametrize(("base", "tolerance"), [(1.3, 1e-7), (1.6, 1e-7), (2.0, 1e-4)])
@pytest.mark.parametrize("m", [1, 4])
def test_decaying_spectrum(base, tolerance, m):
    """Singular values that fall by `base` a component; base 2 spans 3e7, all that float32 can hold."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal((200, 100)) * base ** -np.arange(100)
    x = z @ rng.standard_normal((100, 100))
    y = z[:, :8] @ rng.standard_normal((8, m)) + 0.1 * rng.standard_normal((200, m))
    assert_equals_sklearn(x, y, random_splits(200), tolerance=tolerance)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scale_of_features_does_not_matter(scale):
    x, y = latent(90, 40, 3)
    train = random_splits(90)
    np.testing.assert_allclose(predict_splits(x * scale, y, train), predict_splits(x, y, train), atol=1e-8)


@pytest.mark.parametrize("m", [1, 5])
@pytest.mark.parametrize("p", [40, 150], ids=["n>p", "p>n"])
def test_unbalanced_splits(p, m):
    """From almost all to hardly any stimuli trained on, and parts whose means differ from the whole's."""
    x, y = latent(120, p, m)
    bright = np.argsort(x[:, 0] + y[:, 0])
    train = np.zeros((4, 120), dtype=bool)
    train[0, bright[:60]] = True
    train[1, bright[60:]] = True
    train[2, 1:] = True
    train[3, :12] = True
    assert_equals_sklearn(x, y, train, n_components=8)


@pytest.mark.parametrize("offset", [0, 100.0])
@pytest.mark.parametrize(("base", "tolerance"), [(1.0, 1e-8), (1.3, 1e-7), (1.5, 1e-5)])
def test_many_stimuli_are_summed_into_crossproducts(base, tolerance, offset):
    """The way with X'X and the way through X are one regression, down to what single precision can hold."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3000, 60)) * base ** -np.arange(60.0) + offset
    y = x[:, :20] @ rng.standard_normal((20, 1)) + rng.standard_normal((3000, 1))
    train = random_splits(3000, 5)
    assert pls._gram_pays(x.shape, 5, 25)
    summed = predict_splits(x, y, train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pls, "_gram_pays", lambda *_: False)
        gone_through = predict_splits(x, y, train)
    np.testing.assert_allclose(summed, gone_through, rtol=0, atol=tolerance * y.std())
    assert_equals_sklearn(x[:, :25], y, train[:2], tolerance=1e-6)


def test_splits_with_targets_of_their_own():
    x, y = latent(90, 40, 6)
    train = random_splits(90)
    own = np.stack([y[:, 2 * k : 2 * k + 2] for k in range(3)])
    together = predict_splits(x, own, train)
    alone = np.concatenate([predict_splits(x, own[k], train[[k]]) for k in range(3)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("m", [1, 40])
@pytest.mark.parametrize(("n", "p"), [(120, 40), (60, 200), (900, 30)], ids=["n>p", "p>n", "summed"])
def test_torch_computes_the_same(n, p, m):
    """What runs on a GPU, here on torch's CPU."""
    x, y = latent(n, p, m)
    train = random_splits(n)
    theirs = predict_splits(torch.from_numpy(x.astype(np.float32)), y, train)
    assert isinstance(theirs, np.ndarray)
    np.testing.assert_allclose(theirs, predict_splits(x.astype(np.float32), y, train), rtol=0, atol=1e-9 * y.std())


def test_only_some_stimuli_are_predicted():
    x, y = latent(90, 40, 3)
    train = random_splits(90)
    fitted = fit_splits(x, y, train)
    for rows in (~train[1], np.array([3, 80, 5])):
        np.testing.assert_allclose(fitted.predict(1, rows), predict_splits(x, y, train)[1, rows], rtol=0, atol=1e-12)


def test_chunks_change_nothing(monkeypatch):
    x, y = latent(90, 40, 3)
    train = random_splits(90)
    whole = predict_splits(x, y, train)
    monkeypatch.setattr(pls, "SMALL_BYTES", 0)
    monkeypatch.setattr(pls, "CHUNK_BYTES", 7 * 8 * 40)
    np.testing.assert_allclose(predict_splits(x, y, train), whole, rtol=0, atol=1e-10)


def test_inputs_are_left_as_they_were():
    x, y = latent(60, 30, 2)
    train = random_splits(60)
    before = x.copy(), y.copy(), train.copy()
    predict_splits(x, y, train)
    for array, copy in zip((x, y, train), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_fortran_order_changes_nothing():
    x, y = latent(60, 90, 2)
    train = random_splits(60)
    np.testing.assert_allclose(predict_splits(np.asfortranarray(x), y, train), predict_splits(x, y, train), atol=1e-9)


# Properties. Sizes are drawn on both sides of n = p; the data are the latent ones above, from a drawn seed.
problems = st.tuples(
    st.integers(30, 60), st.sampled_from([3, 15, 40, 80]), st.sampled_from([1, 2, 9]), st.integers(0, 2**31)
)
same_on_any_machine = settings(max_examples=20, deadline=None, derandomize=True)


def problem(drawn):
    n, p, m, seed = drawn
    x, y = latent(n, p, m, seed=seed)
    return x / x.std(), y / y.std(), random_splits(n, 3, 0.75, seed)


def assert_same_held_out(a, b, train):
    held_out = ~train[..., None]
    np.testing.assert_allclose(np.where(held_out, a, 0), np.where(held_out, b, 0), atol=1e-6)


@given(problems, st.floats(-1e4, 1e4))
@same_on_any_machine
def test_rotating_and_shifting_features(drawn, constant):
    x, y, train = problem(drawn)
    rotation = np.linalg.qr(np.random.default_rng(drawn[3]).standard_normal((x.shape[1],) * 2))[0]
    assert_same_held_out(predict_splits(x @ rotation + constant, y, train, 10), predict_splits(x, y, train, 10), train)


@given(problems)
@same_on_any_machine
def test_permuting_stimuli(drawn):
    x, y, train = problem(drawn)
    order = np.random.default_rng(drawn[3]).permutation(len(x))
    permuted = predict_splits(x[order], y[order], train[:, order], 10)
    assert_same_held_out(permuted, predict_splits(x, y, train, 10)[:, order], train[:, order])


@given(problems)
@same_on_any_machine
def test_splits_together_and_one_by_one(drawn):
    x, y, train = problem(drawn)
    one_by_one = np.concatenate([predict_splits(x, y, train[[k]], 10) for k in range(len(train))])
    assert_same_held_out(predict_splits(x, y, train, 10), one_by_one, train)


@given(problems, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@same_on_any_machine
def test_scaling_and_shifting_targets(drawn, scale, shift):
    x, y, train = problem(drawn)
    assert_same_held_out(
        (predict_splits(x, y * scale + shift, train, 10) - shift) / scale, predict_splits(x, y, train, 10), train
    )


@given(problems)
@same_on_any_machine
def test_held_out_targets_do_not_matter(drawn):
    x, y, train = problem(drawn)
    other = np.random.default_rng(drawn[3]).permutation(y) * 7 - 3
    for rows in train:
        changed = np.where(rows[:, None], y, other)
        predicted = predict_splits(x, y, rows[None], 10)
        np.testing.assert_allclose(predict_splits(x, changed, rows[None], 10), predicted, atol=1e-9)


@given(problems)
@same_on_any_machine
def test_held_out_features_do_not_matter_to_others(drawn):
    """Other held-out stimuli, say because a test image was replaced, change their own prediction only."""
    x, y, train = problem(drawn)
    rows = train[0]
    replaced = np.flatnonzero(~rows)[0]
    changed = x.copy()
    changed[replaced] = changed[replaced] * -3 + 1
    others = np.arange(len(x)) != replaced
    np.testing.assert_allclose(
        predict_splits(changed, y, train[:1], 10)[0, others], predict_splits(x, y, train[:1], 10)[0, others], atol=1e-8
    )


@pytest.mark.parametrize("targets", ["shared", "each split's own"])
@pytest.mark.parametrize(("n", "p", "m"), [(400, 60, 40), (60, 300, 2), (1500, 50, 1)])
def test_in_several_threads(monkeypatch, n, p, m, targets):
    """Chunks go to threads, and splits to one thread each; (1500, 50, 1) goes by X'X."""
    x, y = latent(n, p, m)
    if targets != "shared":
        y = y + 0.1 * np.random.default_rng(2).standard_normal((5, n, m))
    train = random_splits(n, k=5)
    monkeypatch.setattr(pls, "CHUNK_BYTES", 8 * p * 37)
    alone = predict_splits(x, y, train, 10)
    monkeypatch.setattr(pls, "_blas_threads", lambda: 3)
    np.testing.assert_allclose(predict_splits(x, y, train, 10), alone, rtol=0, atol=TOLERANCE * y.std())


@pytest.mark.parametrize("m", [1, 3, 40])
@pytest.mark.parametrize(("n", "p"), [(120, 40), (60, 200)])
def test_one_fit_has_the_models_of_every_number_of_components(n, p, m):
    x, y = latent(n, p, m)
    train = random_splits(n)
    fitted, some = fit_splits(x, y, train, 12), np.arange(5, n, 3)
    for k in range(1, 13):
        alone = fit_splits(x, y, train, k)
        for split in range(len(train)):
            expected = alone.predict(split, some)
            np.testing.assert_allclose(fitted.predict(split, some, k), expected, rtol=0, atol=1e-9 * y.std())
            by_components = fitted.predict_by_components(split, some)
            assert by_components.shape == (12, len(some), m)
            np.testing.assert_allclose(by_components[k - 1], expected, rtol=0, atol=1e-9 * y.std())


def test_components_beyond_the_rank_add_nothing():
    x, y = latent(80, 30, 1, rank=4)
    fitted = fit_splits(x, y, random_splits(80), 25)
    by_components = fitted.predict_by_components(0)
    np.testing.assert_allclose(by_components[4:], np.broadcast_to(by_components[4], (21, 80, 1)), rtol=0, atol=1e-9)
    on_torch = fit_splits(torch.from_numpy(x), y, random_splits(80), 25).predict_by_components(0)
    np.testing.assert_allclose(on_torch, by_components, rtol=0, atol=1e-9)
