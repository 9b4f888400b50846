"""The front page of the report: the question, the answer in words, and what it rests on."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from memscore.analysis.tables import ceiling, similarity
from memscore.correlation import said_of_ceiling
from memscore.names import region, stimulus_set_of
from memscore.report import after_training
from memscore.report.answer import called, control_predicts, count, interval, relation
from memscore.report.markup import heading, list_table
from memscore.stimuli.consistency import described

# By whether memorability is predicted, and whether layers are compared with the brain.
QUESTION = {
    (True, True): "Which representations inside a network predict what people remember, and are they the brain's? "
    "For every layer, memorability is predicted by PLS regression (Spearman's ρ on held-out images), and the "
    "layer's similarity to neural recordings is measured as Brain-Score defines it.",
    (True, False): "Which representations inside a network predict what people remember? "
    "For every layer, memorability is predicted by PLS regression (Spearman's ρ on held-out images).",
    (False, True): "Which representations inside a network are the brain's? For every layer, similarity to neural "
    "recordings is measured as Brain-Score defines it (Pearson r between predicted and recorded responses to held-out "
    "stimuli).",
}
# By whether the brain is simulated, and whether the viewers are.
SIMULATED = {
    (True, True): "**The brain and the viewers of this study are simulated:** it shows that the method finds a known "
    "answer, and says nothing about real brains or people.",
    (True, False): "**The brain of this study is simulated:** it shows that the method finds a known answer, and says "
    "nothing about real brains.",
    (False, True): "**The viewers of this study are simulated:** it shows that the method finds a known answer, and "
    "says nothing about real people.",
    (False, False): "",
}
# Whose photographs and scores, by the source of a data set; whose recordings, by the stimulus set of a benchmark.
PEOPLE = {
    "lamem": "**Memorability is real:** photographs and scores of LaMem (Khosla et al. 2015).",
    "lnsim": "**Memorability is real:** outdoor photographs of LNSIM, and how many people recognised each "
    "(Lu et al. 2020).",
    "memcat": "**Memorability is real:** photographs and scores of MemCat (Goetschalckx & Wagemans 2019).",
    "figrim": "**Memorability is real:** photographs and scores of FIGRIM (Bylinskii et al. 2015).",
    "table": "Memorability is what the table of *{dataset}* says.",
}
RECORDINGS = {"cowley2023": "**The brain is real:** neurons of macaque V4 shown natural images (Cowley et al. 2023)."}
BRAINSCORE = "**The brain is real:** recordings of {sets}, as Brain-Score publishes them."


# A control keeps up with a trained layer if it is less than so many standard errors of both behind it.
STANDARD_ERRORS = 2
# What is said of the highest of many scores on the same images.
MANY = " (the highest of many on these test images, so a little high)"


def banner(simulated: Mapping[str, bool]) -> str:
    """What figures say about simulated halves of the study; empty where all is real."""
    made_up = [half for half in ("brain", "viewers") if simulated[half]]
    return f"simulated {' and '.join(made_up)}" if made_up else ""


def write(
    layers: pd.DataFrame,
    correlations: pd.DataFrame,
    differences: pd.DataFrame,
    controls: pd.DataFrame,
    benchmarks: list[str],
    dataset: str | None,
    simulated: Mapping[str, bool],
    consistency: Mapping | None = None,
    rests_on: str = "",
    source: str | None = None,
    finetuned: tuple[pd.DataFrame, ...] | None = None,
) -> str:
    """reStructuredText of the front page, from the tables `layers.csv`, `correlations.csv`, `differences.csv`, and
    `controls.csv`.

    correlations, differences : empty for a study of one half, which tells its best layers instead
    consistency : how far viewers agree, from `consistency.read`; None for a study without memorability
    rests_on : the sentence of `provenance.described`
    source : of the data set, as in the config
    finetuned : the tables `finetuned.csv`, `finetuned_networks.csv`, `beside_published.csv` and
        `finetuned_against_layers.csv`, or None of a study whose networks are not trained on memorability
    """
    halves = bool(dataset), bool(benchmarks)
    parts = [heading("Question"), QUESTION[halves], SIMULATED[simulated["brain"], simulated["viewers"]]]
    parts += [real(dataset, source, benchmarks), heading("Answer")]
    if all(halves):
        parts += [relation(layers, correlations, differences, controls, benchmarks), relation_table(correlations)]
    elif benchmarks:
        parts += [f"* {most_similar(layers, benchmark)}" for benchmark in benchmarks]
    else:
        parts += [best_predictor(layers, controls)]
    parts += [after_training.section(*finetuned, benchmarks)] if finetuned else []
    parts += [heading("What it rests on"), basis(layers, benchmarks, dataset, consistency), rests_on]
    parts += [heading("The best layers of each network"), best_layers(layers, benchmarks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def real(dataset: str | None, source: str | None, benchmarks: list[str]) -> str:
    """A sentence on each half of the study that is not simulated: whose photographs, people and neurons."""
    sets = list(dict.fromkeys(map(stimulus_set_of, benchmarks)))
    others = [name for name in sets if name not in RECORDINGS and name != "simulated"]
    sentences = [PEOPLE.get(source, "").format(dataset=dataset), *(RECORDINGS.get(name, "") for name in sets)]
    sentences += [BRAINSCORE.format(sets=", ".join(others))] if others else []
    return " ".join(filter(None, sentences))


def most_similar(layers: pd.DataFrame, benchmark: str) -> str:
    """Which trained layer is most like one area, beside the ceiling, and how far untrained controls get."""
    best, limit = best_row(layers[layers["trained"]], f"{benchmark}.raw"), ceiling(layers, benchmark)
    beside = f"no ceiling: {without_ceiling(layers, benchmark)}"
    if best is not None and pd.notna(limit):
        beside = f"ceiling {limit:.2f}, score {best[f'{benchmark}.score']:.2f}"
    most = highest(layers, f"{benchmark}.raw", "is most similar", "r", f" ({beside})")
    source = "" if region(benchmark) == benchmark else f" ({benchmark})"
    return f"**{region(benchmark)}**{source}: {most}"


def best_predictor(layers: pd.DataFrame, controls: pd.DataFrame) -> str:
    """Which trained layer predicts memorability best, and whether untrained controls stay behind."""
    found = f"**Memorability**: {highest(layers, 'memorability', 'predicts it best', 'ρ', MANY)}"
    return " ".join(filter(None, [found, control_predicts(controls)]))


def highest(layers: pd.DataFrame, column: str, claim: str, symbol: str, beside: str = "") -> str:
    """What the best trained layer in `column` reaches, and the best untrained one."""
    trained, control = (layers[layers["trained"] == is_trained].dropna(subset=[column]) for is_trained in (True, False))
    text = "no layer of a trained network is scored."
    if len(trained):
        best = best_row(trained, column)
        text = (
            f"of {count(len(trained), 'layer')} of {count(trained['model'].nunique(), 'trained network')}, "
            f"``{best['layer']}`` of {best['model']} {claim}: {symbol} = {best[column]:.2f}{beside}, "
            f"at depth {best['depth']:.2f}."
        )
    if len(control):
        top = best_row(control, column)
        as_well = column != "memorability" and len(trained) and keeps_up(top, best, column)
        reaches = "does as well, within the errors over splits:" if as_well else "reaches at most"
        text += (
            f" Untrained, {top['model']} {reaches} {symbol} = {top[column]:.2f}, in ``{top['layer']}`` "
            f"at depth {top['depth']:.2f}."
        )
    return text


def keeps_up(control: pd.Series, trained: pd.Series, column: str) -> bool:
    """Whether a control's layer is less than two standard errors over splits behind a trained one's in `column`, a
    `<benchmark>.raw`."""
    errors = [row[column.removesuffix(".raw") + ".error"] for row in (control, trained)]
    return trained[column] - control[column] < STANDARD_ERRORS * np.hypot(*np.nan_to_num(errors)) + 1e-12


def best_row(layers: pd.DataFrame, column: str) -> pd.Series | None:
    """The row of the layer that is highest in `column`; None where none is scored."""
    scored = layers.dropna(subset=[column])
    return scored.loc[scored[column].idxmax()] if len(scored) else None


def relation_table(correlations: pd.DataFrame) -> str:
    """Spearman correlation of memorability with each benchmark: all trained networks, then each network."""
    benchmarks = list(correlations["benchmark"].unique())
    rows = [["Network", *benchmarks]]
    for scope, group in correlations.groupby("scope", sort=False):
        known = group.set_index("benchmark").dropna(subset=["spearman"])
        for label, name in ((scope, "spearman"), ("at equal depth", "partial")):
            of = {benchmark: interval(row, name) for benchmark, row in known.iterrows()}
            rows.append([label, *(of.get(benchmark, "–") for benchmark in benchmarks)])
    return list_table(
        "Spearman over layers, and given depth (a smooth curve); intervals are over networks, or of fewer than five "
        "over stretches of depth, and those of a row hold for all areas at once in 95% of studies",
        rows,
    )


def best_layers(layers: pd.DataFrame, benchmarks: list[str]) -> str:
    """Per network and measure, the highest memorability ρ or brain score, and the layer that has it.

    One measure a row: side by side, the layers' names would make the table wider than the report has room for.
    """
    measures = {"memorability ρ": "memorability"} if "memorability" in layers else {}
    for benchmark in benchmarks:
        measure = f"{benchmark} (r)" if pd.isna(ceiling(layers, benchmark)) else benchmark
        layers, measures[measure] = layers.assign(**{measure: similarity(layers, benchmark)}), measure
    rows = [["Network", "Measure", "Highest", "Layer"]]
    for model, group in layers.groupby("model", sort=False):
        name = model if group["trained"].iloc[0] else f"{model} (untrained)"
        for measure, column in measures.items():
            best = best_row(group, column)
            found = ["–", "–"] if best is None else [f"{best[column]:.2f}", f"``{best['layer']}``"]
            rows.append([name, measure, *found])
            name = ""
    title = "Highest score and the layer that reaches it (highest of many on the same images: a little too high)"
    return list_table(title, rows)


def basis(layers: pd.DataFrame, benchmarks: list[str], dataset: str | None, consistency: Mapping | None = None) -> str:
    """What was scored, and what could not be."""
    counts = f"{len(layers)} layers of {layers['model'].nunique()} networks."
    if dataset:
        n_splits = sum(column.startswith("memorability_split_") for column in layers)
        people = f"; {described(consistency) or 'human consistency not known'}"
        counts += f" Memorability: stimulus set *{dataset}*, mean over {n_splits} splits{people}."
    if benchmarks:
        ceilings = ", ".join(
            f"{name} {without_ceiling(layers, b) or f'{ceiling(layers, b):.2f}'}"
            for b, name in ((b, called(b, benchmarks)) for b in benchmarks)
        )
        counts += f" Brain: {', '.join(benchmarks)}; ceilings (split-half reliability): {ceilings}."
    # A layer whose only note is of a ceiling is scored by r.
    flawed = layers[(layers["note"].fillna("") != "") & unscored(layers, benchmarks, dataset)]
    if len(flawed):
        examples = "; ".join(f"{row.model} ``{row.layer}``: {row.note}" for row in flawed.head(10).itertuples())
        counts += f" Not scored, {len(flawed)} layers: {examples}."
    return counts


def without_ceiling(layers: pd.DataFrame, benchmark: str) -> str:
    """Why nothing is relative to a benchmark's ceiling; empty where scores are."""
    if pd.notna(ceiling(layers, benchmark)):
        return ""
    lowest = layers[f"{benchmark}.ceiling"].max()
    return said_of_ceiling(lowest).removeprefix("ceiling ") or "some or all sites have no repeats"


def unscored(layers: pd.DataFrame, benchmarks: list[str], dataset: str | None) -> pd.Series:
    """Which layers lack ρ, or r on a benchmark."""
    measures = [*(["memorability"] if dataset else []), *(f"{benchmark}.raw" for benchmark in benchmarks)]
    return layers[measures].isna().any(axis=1)
