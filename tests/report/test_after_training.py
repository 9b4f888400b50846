"""What the front page says of fine-tuning: no more than its numbers."""

import numpy as np
import pandas as pd
import pytest

from memscore.report import after_training

IT = "simulated.IT"


def table(head=(0.6, 0.5), best=(0.5, 0.4), train=(0.6, 0.6), validation=(0.5, 0.5), n=400):
    columns = {"model": ["net", "net"], "split": [1, 2], "pls_before": 0.3, "pls_after": 0.4}
    columns |= {"head_rho": head, "best_layer_before": best, "train_rho": train, "validation_rho": validation}
    columns["n_validation"] = n
    return pd.DataFrame(columns | {f"{IT}.raw_before": 0.4, f"{IT}.raw_after": 0.5})


def networks(low, n=8, **columns):
    row = {"benchmark": IT, "when": "after", "n_networks": n}
    for name, value in {"memorability": 0.7, "top1": 0.1, "difference": 0.6}.items():
        row |= {name: value, f"{name}_low": low, f"{name}_high": low + 0.5}
    return pd.DataFrame([row | columns])


def against(low, high, n_trainings=2):
    row = {"model": "all networks", "n_trainings": n_trainings, "n_images": 40, "head_rho": 0.551, "best_layer": 0.549}
    return pd.DataFrame([row | {"difference": 0.002, "difference_low": low, "difference_high": high}])


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.003, "**It predicts memorability better than PLS"),
        (-0.05, 0.05, "Whether it predicts memorability better than PLS"),
        (np.nan, np.nan, "Whether it predicts memorability better than PLS"),
        (-0.05, -0.01, "**It predicts memorability worse than PLS"),
    ],
)
def test_a_linear_read_out_is_beaten_where_the_interval_says_so(low, high, words):
    said = after_training.beats(against(low, high, n_trainings=1))
    assert said.startswith(words)
    assert "mean ρ on test images 0.55 against 0.55 in 1 training, difference 0.00 " in said


@pytest.mark.parametrize(
    ("train", "n", "words"),
    [
        (0.6, 400, ""),
        (0.9, 400, "for net (by 0.40, on 400 validation images)"),
        # ρ 0.5 on 10 images has a 95% interval up to 0.86; on 17, to 0.80.
        (0.82, 10, ""),
        (0.82, 17, "on 17 validation images"),
    ],
)
def test_overfitting_is_named_where_it_is_certain(train, n, words):
    said = after_training.overfits(table(train=train, n=n))
    assert words in said
    assert bool(words) == bool(said)


def test_changes_of_likeness():
    said = after_training.changes(table(), [IT])
    assert said == "The penultimate layer's similarity (r), mean over networks, changed by: IT +0.10 (up in 1 of 1)."


@pytest.mark.parametrize(
    ("low", "n", "words"),
    [
        (0.1, 8, "likeness to IT goes more with memorability"),
        (-0.2, 8, "for IT the two do not differ for certain"),
        (-0.9, 8, "likeness to IT goes more with object recognition"),
        (np.nan, 2, "2 networks with a known accuracy cannot tell"),
    ],
)
def test_object_recognition_is_set_against_memorability(low, n, words):
    assert words in after_training.recognition(networks(low, n), [IT])


def test_the_section_has_what_is_known_and_no_more():
    beside = pd.DataFrame({"predictor": ["net: fine-tuned"], "kind": ["after"], "spearman": [0.55]})
    beside = beside.assign(lowest=0.5, highest=0.6, protocol="mean", source="this study")
    page = after_training.section(table(), networks(np.nan, 2), beside, against(-0.1, 0.1), [IT])
    assert "Trained on memorability\n----" in page
    assert "Beside other predictors" not in page
    assert "nan" not in page
    peer = beside.assign(predictor="resmem", kind="peer", lowest=np.nan, highest=np.nan)
    page = after_training.section(
        table(), networks(np.nan, 2).drop(columns="top1"), pd.concat([beside, peer]), against(-0.1, 0.1), [IT]
    )
    assert "Beside other predictors" in page
    assert "Object recognition" not in page
    assert "nan" not in page
