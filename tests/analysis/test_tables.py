"""The table of generalisation: every ρ in its own column, and notes that say which ρ they are of."""

import numpy as np
import pandas as pd

from memscore.analysis import tables
from memscore.networks import architectures

MODELS = [
    {"model": model, "trained": True, "layer": layer, "index": i, "depth": float(i), "module_type": "", "n_features": 9}
    for model in ("a", "b")
    for i, layer in enumerate(("stem", "head"))
]


def scores(start, note=None):
    """Rows as the jobs' files have them, in another order than the models'."""
    rows = [{"model": row["model"], "layer": row["layer"]} for row in MODELS]
    rows = [row | {"memorability": start + i, "memorability_split_1": 0.0, "note": None} for i, row in enumerate(rows)]
    if note:
        rows[1] |= {"memorability": np.nan, "note": note}
    return pd.DataFrame(rows[::-1])


def brain():
    rows = scores(0.5).drop(columns="memorability_split_1").rename(columns={"memorability": "raw"})
    return rows.assign(benchmark="s.IT", ceiling=0.8, score=0.3, error=0.01)


def test_generalisation_has_a_column_for_each_rho():
    within = {"x": scores(0.1), "y": scores(0.2)}
    across = {("x", "y"): scores(0.3).assign(components=7, n_left_out=5), ("y", "x"): scores(0.4).assign(n_left_out=0)}
    table = tables.generalisation(MODELS, within, across, brain())
    assert (table["left_out.x.y"] == 5).all()
    assert (table["components.x.y"] == 7).all()
    assert list(table)[7:] == [
        *("within.x", "within.y", "across.x.y", "components.x.y", "left_out.x.y", "across.y.x", "left_out.y.x"),
        *("s.IT.raw", "s.IT.ceiling", "s.IT.score", "s.IT.error", "note"),
    ]
    starts = {"within.x": 0.1, "within.y": 0.2, "across.x.y": 0.3, "across.y.x": 0.4, "s.IT.raw": 0.5}
    for column, start in starts.items():
        np.testing.assert_allclose(table[column], start + np.arange(4))
    assert (table["note"] == "").all()


def test_notes_say_which_rho_they_are_of():
    within = {"x": scores(0.1, "constant"), "y": scores(0.1)}
    across = {("x", "y"): scores(0.1, "constant where fitted"), ("y", "x"): scores(0.1, "constant where tested")}
    table = tables.generalisation(MODELS, within, across, None)
    expected = "within.x: constant; across.x.y: constant where fitted; across.y.x: constant where tested"
    assert table["note"].tolist() == ["", expected, "", ""]
    assert table.loc[1, ["within.x", "across.x.y", "across.y.x"]].isna().all()
    assert table.loc[1, "within.y"] == 1.1


def test_finetuned_puts_before_beside_after():
    def rows(model, offset, splits=(1, 2)):
        table = pd.DataFrame({"model": model, "layer": ["stem", "penultimate"], "memorability": [offset, offset + 9]})
        return table.assign(**{f"memorability_split_{k}": [offset + k, offset + k - 0.5] for k in splits})

    def similar(model, raw):
        row = {"model": model, "layer": "penultimate", "benchmark": "s.IT", "raw": raw, "score": raw**2}
        return pd.DataFrame([row])

    tuned = [("a.tuned-1", "a", 1), ("a.tuned-2", "a", 2)]
    reached = {"model": "a", "epoch": 3, "n_epochs": 5, "train_rho": 0.6, "validation_rho": 0.4}
    scores = pd.DataFrame([reached | {"split": k, "test_rho": k / 10} for k in (1, 2)])
    before = rows("a", 10.0), similar("a", 0.5)
    after = pd.concat([rows("a.tuned-1", 20.0, [1]), rows("a.tuned-2", 30.0, [2])]), similar("a.tuned-1", 0.6)
    best = pd.DataFrame({"model": ["a", "a", "b"], "split": [1, 2, 1], "test_rho": [0.7, 0.8, 0.9]})
    table = tables.finetuned(tuned, scores, {1: 17, 2: 18}, before, best, after)
    assert list(table["head_rho"]) == [0.1, 0.2]
    assert list(table["n_validation"]) == [17, 18]
    assert list(table["pls_before"]) == [10.5, 11.5]
    assert list(table["best_layer_before"]) == [0.7, 0.8]
    assert list(table["pls_after"]) == [20.5, 31.5]
    assert list(table["s.IT.raw_before"]) == [0.5, 0.5]
    np.testing.assert_array_equal(table["s.IT.raw_after"], [0.6, np.nan])
    alone = tables.finetuned(tuned, scores, {1: 17, 2: 18}, (before[0], None), best, (after[0], None))
    assert list(alone) == [name for name in table if not name.startswith("s.IT")]


def test_published_accuracies_are_of_every_network_of_the_paper(repository):
    table = pd.read_csv(repository / "config/imagenet_top1.tsv", sep="\t", comment="#")
    assert table["timm_name"].is_unique
    assert table["top1"].between(60, 90).all()
    assert (table["top5"] > table["top1"]).all()
    for name in pd.read_csv(repository / "config/models/paper.tsv", sep="\t")["timm_name"]:
        assert tables.published_top1(table, architectures.whole_name(name)) > 0
    assert tables.published_top1(table, architectures.whole_name("tf_efficientnet_lite0")) == 74.846
    # timm's own weights of that name, which are not in the table, and not the older ones which are.
    assert architectures.whole_name("resnet50") == "resnet50.a1_in1k"
    assert np.isnan(tables.published_top1(table, architectures.whole_name("resnet50")))
    assert np.isnan(tables.published_top1(table, architectures.whole_name("")))


def test_published_results_have_their_source(repository):
    table = pd.read_csv(repository / "config/published.tsv", sep="\t", comment="#")
    assert list(table) == ["predictor", "spearman", "protocol", "source"]
    assert table.notna().all(axis=None)
    assert table["spearman"].between(0.5, 0.8).all()


def test_own_networks_stand_beside_peers_and_published_results():
    tuned = pd.DataFrame({"model": ["a", "a"], "best_layer_before": [0.4, 0.6], "head_rho": [0.5, 0.8]})
    source = {"predictor": "Net", "spearman": 0.64, "protocol": "five splits", "source": "Them 2015"}
    published = pd.DataFrame([source])
    found = tables.beside_published(tuned, {"resmem": {"split_1": 0.5}}, published).set_index("predictor")
    assert list(found.index) == ["a: best layer, PLS", "a: fine-tuned", "resmem", "Net"]
    assert list(found["kind"]) == ["before", "after", "peer", "published"]
    np.testing.assert_allclose(found["spearman"], [0.5, 0.65, 0.5, 0.64])
    np.testing.assert_allclose(found.loc["a: fine-tuned", ["lowest", "highest"]].astype(float), [0.5, 0.8])
    assert list(found["source"]) == ["this study"] * 3 + ["Them 2015"]
    assert np.isnan(found.loc["Net", "lowest"])
    assert found.loc["resmem", "protocol"] == "one split of this data set"
    assert len(tables.beside_published(tuned, {}, None)) == 2
    saw_them = tables.beside_published(tuned, {"resmem": {"split_1": 0.5}}, None, ["resmem"])
    assert saw_them["protocol"].str.contains("were in its own training").tolist() == [False, False, True]
