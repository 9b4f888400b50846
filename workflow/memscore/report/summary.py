"""The front page of the report: the question, the answer in words, and what it rests on."""

from collections.abc import Mapping

import pandas as pd

from memscore.analysis.statistics import ALL_TRAINED, FEWEST_NETWORKS, ranked
from memscore.analysis.tables import ceiling, similarity
from memscore.names import region
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
    (True, False): "**The brain of this study is simulated;** the memorability scores are real.",
    (False, True): "**The viewers of this study are simulated;** the recordings are real.",
    (False, False): "",
}
SIMULATED_HALF = {
    (True, False): "**The brain of this study is simulated:** it shows that the method finds a known answer, and says "
    "nothing about real brains.",
    (False, True): "**The viewers of this study are simulated:** it shows that the method finds a known answer, and "
    "says nothing about real people.",
    (False, False): "",
}


def banner(simulated: Mapping[str, bool]) -> str:
    """What figures say about simulated halves of the study; empty where all is real."""
    made_up = [half for half in ("brain", "viewers") if simulated[half]]
    return f"simulated {' and '.join(made_up)}" if made_up else ""


def write(
    layers: pd.DataFrame,
    correlations: pd.DataFrame,
    differences: pd.DataFrame,
    benchmarks: list[str],
    dataset: str | None,
    simulated: Mapping[str, bool],
    consistency: Mapping | None = None,
    rests_on: str = "",
) -> str:
    """reStructuredText of the front page, from the tables `layers.csv`, `correlations.csv` and `differences.csv`.

    correlations, differences : empty for a study of one half, which tells its best layers instead
    consistency : how far viewers agree, from `consistency.read`; None for a study without memorability
    rests_on : the sentence of `provenance.described`
    """
    halves = bool(dataset), bool(benchmarks)
    made_up = SIMULATED if all(halves) else SIMULATED_HALF
    parts = [heading("Question"), QUESTION[halves], made_up[simulated["brain"], simulated["viewers"]]]
    parts += [heading("Answer")]
    if all(halves):
        parts += [relation(correlations, differences, benchmarks), relation_table(correlations)]
    elif benchmarks:
        parts += [f"* {most_similar(layers, benchmark)}" for benchmark in benchmarks]
    else:
        parts += [best_predictor(layers)]
    parts += [heading("What it rests on"), basis(layers, benchmarks, dataset, consistency), rests_on]
    parts += [heading("The best layers of each network"), best_layers(layers, benchmarks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def relation(correlations: pd.DataFrame, differences: pd.DataFrame, benchmarks: list[str]) -> str:
    """Which area's likeness goes with predicting memorability, by how much, and how far ahead of the next."""
    best_first = ranked(correlations)
    if best_first.empty:
        return "Memorability and brain similarity were not both scored for three or more layers of trained networks."
    best = best_first.iloc[0]
    text = (
        f"Over {best['n_layers']} layers of {best['n_models']} trained networks, the layers that predict memorability "
        f"well are those most like **{called(best['benchmark'], benchmarks)}**: Spearman {interval(best)}"
    )
    scope = ""
    if best["interval_over"] == "layers":
        scope = (
            f" With fewer than {FEWEST_NETWORKS} networks, intervals are over their layers: they say nothing of others."
        )
    if len(best_first) == 1:
        return f"{text}.{scope}"
    second = best_first.iloc[1]
    next_one = f"against {interval(second)} for {called(second['benchmark'], benchmarks)}, the next"
    return f"{text}, {next_one}. {lead(differences.iloc[0])}{scope}"


def lead(difference: pd.Series) -> str:
    """Whether the best area is ahead of the next for certain."""
    low, high = difference["difference_low"], difference["difference_high"]
    if pd.isna(low):
        return "Too few layers are scored on both to say how certain that order is."
    text = f"The difference, {difference['difference']:.2f} [{low:.2f}, {high:.2f}],"
    return f"{text} {'excludes zero' if low > 0 else 'includes zero, so the order of the two is not certain'}."


def most_similar(layers: pd.DataFrame, benchmark: str) -> str:
    """Which trained layer is most like one area, beside the ceiling, and how far untrained controls get."""
    best, limit = best_row(layers[layers["trained"]], f"{benchmark}.raw"), ceiling(layers, benchmark)
    beside = "no ceiling: recordings without repeats"
    if best is not None and pd.notna(limit):
        beside = f"ceiling {limit:.2f}, score {best[f'{benchmark}.score']:.2f}"
    most = highest(layers, f"{benchmark}.raw", "is most similar", "r", f" ({beside})")
    source = "" if region(benchmark) == benchmark else f" ({benchmark})"
    return f"**{region(benchmark)}**{source}: {most}"


def best_predictor(layers: pd.DataFrame) -> str:
    """Which trained layer predicts memorability best, and how far untrained controls get."""
    return f"**Memorability**: {highest(layers, 'memorability', 'predicts it best', 'ρ')}"


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
        best = best_row(control, column)
        text += (
            f" Untrained, {best['model']} reaches at most {symbol} = {best[column]:.2f}, in ``{best['layer']}`` "
            f"at depth {best['depth']:.2f}."
        )
    return text


def best_row(layers: pd.DataFrame, column: str) -> pd.Series | None:
    """The row of the layer that is highest in `column`; None where none is scored."""
    scored = layers.dropna(subset=[column])
    return scored.loc[scored[column].idxmax()] if len(scored) else None


def count(n: int, thing: str) -> str:
    """`1 layer`, `10 layers`."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def called(benchmark: str, benchmarks: list[str]) -> str:
    """A benchmark's area; its whole name where another one is of the same area."""
    return benchmark if [region(other) for other in benchmarks].count(region(benchmark)) > 1 else region(benchmark)


def interval(row: pd.Series) -> str:
    """`0.91 [0.80, 0.95]`."""
    if pd.isna(row["spearman_low"]):
        return f"{row['spearman']:.2f} (too few layers for an interval)"
    return f"{row['spearman']:.2f} [{row['spearman_low']:.2f}, {row['spearman_high']:.2f}]"


def relation_table(correlations: pd.DataFrame) -> str:
    """Spearman correlation of memorability with each benchmark: all trained networks, then each network."""
    benchmarks = list(correlations["benchmark"].unique())
    rows = [["Network", *benchmarks]]
    for scope, group in correlations.groupby("scope", sort=False):
        of = {row["benchmark"]: interval(row) for _, row in group.dropna(subset=["spearman"]).iterrows()}
        rows.append([scope, *(of.get(benchmark, "–") for benchmark in benchmarks)])
    over = correlations.loc[correlations["scope"] == ALL_TRAINED, "interval_over"]
    pooled = f"all trained: over {over.iloc[0]}; " if len(over) else ""
    return list_table(f"Spearman over layers with its 95% interval ({pooled}one network: over its layers)", rows)


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
    return list_table("Highest score and the layer that reaches it", rows)


def basis(layers: pd.DataFrame, benchmarks: list[str], dataset: str | None, consistency: Mapping | None = None) -> str:
    """What was scored, and what could not be."""
    counts = f"{len(layers)} layers of {layers['model'].nunique()} networks."
    if dataset:
        n_splits = sum(column.startswith("memorability_split_") for column in layers)
        people = f"; {described(consistency) or 'human consistency not known'}"
        counts += f" Memorability: stimulus set *{dataset}*, mean over {n_splits} splits{people}."
    if benchmarks:
        limits = {called(b, benchmarks): ceiling(layers, b) for b in benchmarks}
        ceilings = ", ".join(f"{n} {'none, without repeats' if pd.isna(c) else f'{c:.2f}'}" for n, c in limits.items())
        counts += f" Brain: {', '.join(benchmarks)}; ceilings (split-half reliability): {ceilings}."
    flawed = layers[layers["note"].fillna("") != ""]
    if len(flawed):
        examples = "; ".join(f"{row.model} ``{row.layer}``: {row.note}" for row in flawed.head(10).itertuples())
        counts += f" Not scored, {len(flawed)} layers: {examples}."
    return counts


def list_table(title: str, rows: list[list[str]]) -> str:
    """A reStructuredText table whose first row is its header."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines)
