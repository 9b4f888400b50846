"""The memorability of a layer against scikit-learn and scipy, split by split, and what must not leak into it."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.cross_decomposition import PLSRegression

from memscore import correlation
from memscore.errors import InputError
from memscore.scores import memorability


def layer(n, p, seed=0):
    """float32 activations behind a ReLU, a third of them zero, and viewers' hit rates in steps of 1/80."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 20))
    x = np.maximum(z @ rng.standard_normal((20, p)) + 2 * rng.standard_normal((n, p)) + 1, 0)
    drive = z[:, :5] @ rng.standard_normal(5)
    return x.astype(np.float32), rng.binomial(80, 1 / (1 + np.exp(-1 - 0.5 * drive))) / 80


def scored(*arguments):
    """(ρ of each split, note) with a fixed number of components."""
    prediction = memorability.score(*arguments)
    return prediction.rho, prediction.note


def across(*arguments):
    """(ρ, note) from one data set to another."""
    prediction = memorability.generalise(*arguments)
    return prediction.rho[0], prediction.note


def lamem_splits(n, k=5, seed=1):
    rng = np.random.default_rng(seed)
    n_train, n_val = round(0.766 * n), round(0.064 * n)
    parts = np.stack([rng.permutation(np.repeat([0, 1, 2], [n_train, n_val, n - n_train - n_val])) for _ in range(k)])
    return parts == 0, parts == 2


def validation_of(train, test):
    return ~(train | test)


def independent_rho(x, y, train, test, n_components):
    x = x.astype(np.float64)
    rho = []
    for fit, held_out in zip(train, test, strict=True):
        model = PLSRegression(n_components, scale=False).fit(x[fit], y[fit])
        rho.append(spearmanr(model.predict(x[held_out]).ravel(), y[held_out]).statistic)
    return np.array(rho)


@pytest.mark.parametrize(("n", "p"), [(400, 100), (200, 600), (150, 150), (300, 26), (200, 3), (200, 1)])
@pytest.mark.parametrize("n_components", [25, 5])
def test_equals_scikit_learn_and_scipy(n, p, n_components):
    x, y = layer(n, p)
    train, test = lamem_splits(n)
    rho, note = scored(x, y, train, test, n_components)
    assert note == ""
    assert rho.shape == (5,)
    np.testing.assert_allclose(rho, independent_rho(x, y, train, test, min(n_components, p)), rtol=0, atol=1e-4)


def test_splits_with_scores_of_their_own():
    """As LaMem's: each split trains and tests on its row, whether or not another split has the same."""
    x, y = layer(200, 60)
    train, test = lamem_splits(200)
    noise = np.random.default_rng(2).normal(0, 0.05, (2, 200))
    own = np.stack([y, y + noise[0], y, y + noise[1], y + noise[0]])
    rho, note = scored(x, own, train, test, 25)
    assert note == ""
    for k in range(5):
        expected = independent_rho(x, own[k], train[[k]], test[[k]], 25)
        np.testing.assert_allclose(rho[[k]], expected, rtol=0, atol=1e-4)
    same, _ = scored(x, np.tile(y, (5, 1)), train, test, 25)
    np.testing.assert_array_equal(same, scored(x, y, train, test, 25)[0])


def test_offset_scale_and_silent_features_change_nothing():
    x, y = layer(200, 60)
    train, test = lamem_splits(200)
    expected, _ = scored(x, y, train, test, 25)
    silent = np.c_[x, np.full((200, 9), 0.1, np.float32)]
    for changed in (x.astype(np.float64) * 1e3 + 1e4, x[:, ::-1], silent):
        rho, note = scored(changed, y, train, test, 25)
        assert note == ""
        np.testing.assert_allclose(rho, expected, rtol=0, atol=1e-4)


def test_only_training_stimuli_are_fitted_and_only_test_stimuli_tested():
    """With the opposite scores of test stimuli ρ is the opposite; what validation stimuli are changes nothing."""
    x, y = layer(200, 60)
    train, test = lamem_splits(200, k=1)
    expected, _ = scored(x, y, train, test, 25)
    np.testing.assert_allclose(scored(x, np.where(test[0], 1 - y, y), train, test, 25)[0], -expected, atol=1e-9)
    neither = validation_of(train, test)[0]
    assert neither.any()
    x[neither], y[neither] = 1000.0, 1 - y[neither]
    np.testing.assert_allclose(scored(x, y, train, test, 25)[0], expected, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("p", [1, 30, 300])
def test_constant_layer_and_one_with_a_number_that_is_none(value, p):
    x, y = layer(100, p)
    x[:, :] = value if np.isfinite(value) else x
    x[3, p - 1] = value
    rho, note = scored(x, y, *lamem_splits(100), 25)
    assert np.isnan(rho).all()
    assert rho.shape == (5,)
    assert note == ("constant" if np.isfinite(value) else "not finite")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("p", [1, 30, 300])
@pytest.mark.parametrize("background", [0.0, 0.3])
def test_layer_constant_in_training_has_no_rho_in_that_split(p, background):
    _, y = layer(100, 1)
    train, test = lamem_splits(100)
    x = np.full((100, p), background)
    x[np.flatnonzero(test[0] & train[1])[0]] += np.random.default_rng(0).standard_normal(p)
    rho, note = scored(x, y, train, test, 25)
    assert np.isnan(rho[0])
    assert note == "constant prediction"


@pytest.mark.filterwarnings("error")
def test_constant_scores_have_no_rho():
    x, y = layer(100, 30)
    train, test = lamem_splits(100)
    rho, note = scored(x, np.where(test[2], 0.7, y), train, test, 25)
    assert np.isnan(rho[2])
    assert note


def test_rank_correlation_equals_scipy_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    assert correlation.rank_correlation(a, b) == spearmanr(a, b).statistic
    assert np.isnan(correlation.rank_correlation(np.ones(60), b))
    assert np.isnan(correlation.rank_correlation(a, np.ones(60)))


def two_sets(n=(300, 200), p=60):
    """Two stimulus sets that people remember for the same reasons."""
    x, y = layer(sum(n), p)
    return (x[: n[0]], x[n[0] :]), (y[: n[0]], y[n[0] :])


def independent_across(x, y, n_components):
    model = PLSRegression(n_components, scale=False).fit(x[0].astype(np.float64), y[0])
    return spearmanr(model.predict(x[1].astype(np.float64)).ravel(), y[1]).statistic


@pytest.mark.parametrize(("n", "p"), [((300, 200), 60), ((60, 200), 300), ((200, 40), 26), ((300, 100), 3)])
def test_across_equals_scikit_learn_and_scipy(n, p):
    x, y = two_sets(n, p)
    for fitted, tested in ((x, y), (x[::-1], y[::-1])):
        rho, note = across(fitted, tested, 25)
        assert note == ""
        assert rho == pytest.approx(independent_across(fitted, tested, min(25, p)), abs=1e-6)


def test_across_predicts_without_the_tested_scores_and_offset():
    """What is predicted for one image depends neither on its own score nor on which others are predicted with it."""
    x, y = two_sets()
    predicted = memorability.predict_other(x[0], x[1], y[0], 25)[0]
    assert predicted.shape == (200,)
    some = memorability.predict_other(x[0], x[1][50:60], y[0], 25)[0]
    np.testing.assert_allclose(some, predicted[50:60], rtol=0, atol=1e-10)
    other = memorability.predict_other(x[0], np.concatenate([x[1], 1e3 + x[1]]), y[0], 25)[0][:200]
    np.testing.assert_allclose(other, predicted, rtol=0, atol=1e-7)
    flipped = across(x, (y[0], 1 - y[1]), 25)[0]
    assert flipped == pytest.approx(-across(x, y, 25)[0], abs=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(("value", "note"), [(np.nan, "not finite"), (1.0, "constant")])
def test_a_layer_flawed_on_one_set_has_no_rho_across(which, value, note):
    x, y = two_sets()
    x[which][:] = value
    rho, said = across(x, y, 25)
    assert np.isnan(rho)
    assert said == f"{note} where {('fitted', 'tested')[which]}"


@pytest.mark.filterwarnings("error")
def test_constant_scores_of_one_set_have_no_rho_across():
    x, y = two_sets()
    for scores in ((np.full(300, 0.7), y[1]), (y[0], np.full(200, 0.7))):
        rho, note = across(x, scores, 25)
        assert np.isnan(rho)
        assert note == "constant prediction"


def independent_choice(x, y, train, validation, test, most):
    """(number of components that is best on the validation stimuli, its ρ on test), a model fitted for each number."""
    x, rhos = x.astype(np.float64), []
    for k in range(1, most + 1):
        model = PLSRegression(k, scale=False).fit(x[train], y[train])
        rhos.append([spearmanr(model.predict(x[rows]).ravel(), y[rows]).statistic for rows in (validation, test)])
    best = int(np.argmax(np.array(rhos)[:, 0]))
    return best + 1, rhos[best][1]


@pytest.mark.parametrize(("n", "p"), [(400, 100), (200, 600), (300, 7)])
def test_chosen_components_are_scikit_learns(n, p):
    x, y = layer(n, p)
    train, test = lamem_splits(n)
    chosen = memorability.score(x, y, train, test, 25, validation_of(train, test))
    expected = [
        independent_choice(x, y, *sides, min(p, 25)) for sides in zip(train, ~(train | test), test, strict=True)
    ]
    assert chosen.note == ""
    assert list(chosen.n_components) == [k for k, _ in expected]
    np.testing.assert_allclose(chosen.rho, [rho for _, rho in expected], rtol=0, atol=1e-4)
    assert len(set(chosen.n_components)) > 1
    assert set(memorability.score(x, y, train, test, 25).n_components) == {min(p, 25)}


def parts_of(train):
    """Five parts of each split's training stimuli, in the order of the table; -1 for the others."""
    return np.where(train, np.cumsum(train, axis=1) % 5, -1)


def choice_by_parts(x, y, train, parts, most):
    """The number of components that best predicts each part of the training stimuli from the others."""
    x, rhos = x.astype(np.float64), []
    for k in range(1, most + 1):
        predicted = np.full(len(y), np.nan)
        for part in range(5):
            fit, left_out = train & (parts != part), train & (parts == part)
            model = PLSRegression(k, scale=False).fit(x[fit], y[fit])
            predicted[left_out] = model.predict(x[left_out]).ravel()
        rhos.append(spearmanr(predicted[train], y[train]).statistic)
    return 1 + int(np.argmax(rhos))


@pytest.mark.parametrize(("n", "p"), [(120, 40), (90, 200), (60, 7)])
def test_components_chosen_on_parts_of_train_are_scikit_learns(n, p):
    """Where a split has parts; another beside it chooses on its validation stimuli."""
    x, y = layer(n, p)
    train, test = lamem_splits(n, 3)
    validation, parts = validation_of(train, test), parts_of(train)
    parts[2] = -1
    chosen = memorability.score(x, y, train, test, 25, validation, parts)
    expected = [choice_by_parts(x, y, train[k], parts[k], min(p, 25)) for k in (0, 1)]
    on_validation = memorability.score(x, y, train, test, 25, validation)
    assert list(chosen.n_components) == [*expected, on_validation.n_components[2]]
    for k, n_components in enumerate(chosen.n_components):
        assert chosen.rho[k] == pytest.approx(independent_rho(x, y, train[[k]], test[[k]], n_components)[0], abs=1e-4)
    own = np.where(train, y, 1 - y)
    other = memorability.score(x, own, train, test, 25, validation, parts)
    assert list(other.n_components[:2]) == expected


def test_parts_of_train_choose_better_than_a_handful_of_validation_images():
    """Four validation images choose by luck, and are behind a fixed number of components."""
    rhos = []
    for seed in range(4):
        x, y = layer(60, 60, seed)
        train, test = lamem_splits(60, 10, seed)
        validation = validation_of(train, test)
        ways = (25, validation, parts_of(train)), (25, validation), (5,)
        rhos.append([memorability.score(x, y, train, test, *way).rho.mean() for way in ways])
    by_parts, on_validation, fixed = np.mean(rhos, axis=0)
    assert by_parts > on_validation + 0.03
    assert by_parts > fixed - 0.02


def test_across_chooses_on_parts_of_what_is_fitted():
    (x, other), (y, tested) = two_sets((120, 80), 40)
    left_out = np.random.default_rng(5).random(120) < 0.1
    (parts,) = parts_of(~left_out[None])
    validation = np.arange(120) < 20
    chosen = memorability.generalise((x, other), (y, tested), 25, left_out, validation, parts)
    k = choice_by_parts(x, y, ~left_out, parts, 25)
    assert list(chosen.n_components) == [k]
    expected = independent_across((x[~left_out], other), (y[~left_out], tested), k)
    assert chosen.rho[0] == pytest.approx(expected, abs=1e-6)


def test_chosen_components_overfit_less():
    """Few stimuli, much noise: 25 components learn the noise, and a few are better."""
    x, y = layer(300, 400)
    train, test = lamem_splits(300, k=20)
    chosen = memorability.score(x, y, train, test, 25, validation_of(train, test))
    assert chosen.rho.mean() > memorability.score(x, y, train, test, 25).rho.mean() + 0.02
    assert chosen.n_components.mean() < 15


def test_what_is_tested_has_no_part_in_the_choice():
    """Whatever the viewers said of test images, as many components are chosen; of validation images, others."""
    x, y = layer(200, 60)
    train, test = lamem_splits(200)
    validation = validation_of(train, test)
    chosen = memorability.score(x, y, train, test, 25, validation).n_components
    shuffled = np.random.default_rng(0).permutation(y)
    for other in (1 - y, shuffled):
        own = np.where(test, other, y)
        assert (own != y).any()
        np.testing.assert_array_equal(memorability.score(x, own, train, test, 25, validation).n_components, chosen)
    own = np.where(validation, shuffled, y)
    assert (memorability.score(x, own, train, test, 25, validation).n_components != chosen).any()


def mean_rho_of_noise(validation_is_test):
    """Mean ρ over 100 splits of features that say nothing, with as many components as validate best."""
    rng, n = np.random.default_rng(3), 300
    train, test = lamem_splits(n, k=100)
    validation = test if validation_is_test else validation_of(train, test)
    x, y = rng.standard_normal((n, 200)), rng.random((100, n))
    return memorability.score(x, y, train, test, 25, validation).rho.mean()


def test_a_choice_that_leaks_would_be_seen():
    """Features that say nothing predict nothing; choose on test, which is the leak, and they seem to."""
    bound = 3 / np.sqrt(100 * 51)  # standard errors of a mean of 100 rank correlations over 51 test stimuli
    assert abs(mean_rho_of_noise(validation_is_test=False)) < bound
    assert mean_rho_of_noise(validation_is_test=True) > 2 * bound


@pytest.mark.filterwarnings("error")
def test_a_choice_without_any_validation_to_rank():
    """Where validation scores are all one, the fewest components are taken, and nothing breaks."""
    x, y = layer(100, 30)
    train, test = lamem_splits(100)
    validation = validation_of(train, test)
    chosen = memorability.score(x, np.where(validation[0], 0.5, y), train, test, 25, validation)
    assert chosen.n_components[0] == 1
    assert np.isfinite(chosen.rho).all()
    flawed = memorability.score(np.full((100, 3), np.nan), y, train, test, 25, validation)
    assert np.isnan(flawed.rho).all()
    assert set(flawed.n_components) == {0}


@pytest.mark.parametrize("left_out", [None, "some"])
def test_across_chooses_inside_the_fitted_set(left_out):
    (x, other), (y, tested) = two_sets()
    rng = np.random.default_rng(5)
    validation = rng.random(300) < 0.2
    left_out = None if left_out is None else rng.random(300) < 0.1
    used = np.ones(300, bool) if left_out is None else ~left_out
    chosen = memorability.generalise((x, other), (y, tested), 25, left_out, validation)
    k, _ = independent_choice(x, y, used & ~validation, used & validation, used, 25)
    assert list(chosen.n_components) == [k]
    expected = independent_across((x[used], other), (y[used], tested), k)
    assert chosen.rho[0] == pytest.approx(expected, abs=1e-6)
    flipped = memorability.generalise((x, other), (y, 1 - tested), 25, left_out, validation)
    assert list(flipped.n_components) == [k]


def test_the_layer_that_is_best_unseen_is_kept_with_what_it_predicts(tmp_path):
    """By split; a layer that is better on test stimuli alone is not."""
    rng = np.random.default_rng(3)
    observed, layers = rng.standard_normal(120), {}
    train, test, validation = (np.stack([np.roll(np.arange(120) // 40 == k, 20 * j) for j in (0, 1)]) for k in range(3))
    for name, noise in (("early", 3.0), ("late", 0.3)):
        layers[name] = observed[:, None] + noise * rng.standard_normal((120, 6))
    best, scores = memorability.BestLayers(2, 120), {}
    for name, features in layers.items():
        scores[name] = memorability.score(features, observed, train, test, 3, validation)
        best.add(name, scores[name])
    best.write(tmp_path / "best.npz")
    names, predicted = memorability.read_best(tmp_path / "best.npz")
    assert names == ["late", "late"]
    assert (np.isfinite(predicted) == test).all()
    for k in range(2):
        assert correlation.rank_correlation(predicted[k, test[k]], observed[test[k]]) == pytest.approx(
            scores["late"].rho[k]
        )
        held_out = scores["late"].unseen_rho[k]
        chosen = PLSRegression(scores["late"].n_components[k], scale=False).fit(
            layers["late"][train[k]], observed[train[k]]
        )
        assert held_out == pytest.approx(
            correlation.rank_correlation(chosen.predict(layers["late"][validation[k]]).ravel(), observed[validation[k]])
        )
    fixed = memorability.score(layers["late"], observed, train, test, 3, judged=validation)
    assert np.isfinite(fixed.unseen_rho).all()
    assert np.isnan(memorability.score(layers["late"], observed, train, test, 3).unseen_rho).all()


def test_a_damaged_file_of_predictions_is_refused(tmp_path):
    (tmp_path / "best.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="damaged"):
        memorability.read_best(tmp_path / "best.npz")
