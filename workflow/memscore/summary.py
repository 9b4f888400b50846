"""The front page of the report: the question, the answer in words, and what it rests on."""

from collections.abc import Mapping

import pandas as pd

from memscore.brain import region

QUESTION = (
    "Which representations inside a network predict what people remember, and are they the brain's? "
    "For every layer, memorability is predicted by PLS regression (Spearman's ρ on held-out images), and the "
    "layer's similarity to neural recordings is measured as Brain-Score defines it."
)
SIMULATED = {
    (True, True): "**The brain and the viewers of this study are simulated:** it shows that the method finds a known "
    "answer, and says nothing about real brains or people.",
    (True, False): "**The brain of this study is simulated;** the memorability scores are real.",
    (False, True): "**The viewers of this study are simulated;** the recordings are real.",
    (False, False): "",
}


def banner(simulated: Mapping[str, bool]) -> str:
    """What figures say about simulated halves of the study; empty where all is real."""
    made_up = [half for half in ("brain", "viewers") if simulated[half]]
    return f"simulated {' and '.join(made_up)}" if made_up else ""


def write(
    layers: pd.DataFrame,
    correlations: pd.DataFrame,
    benchmarks: list[str],
    dataset: str | None,
    simulated: Mapping[str, bool],
) -> str:
    """reStructuredText of the front page, from the tables `layers.csv` and `correlations.csv`."""
    parts = [
        heading("Question"),
        QUESTION,
        SIMULATED[simulated["brain"], simulated["viewers"]],
        heading("Answer"),
        answer(correlations),
    ]
    if len(correlations):
        parts += [relation_table(correlations)]
    parts += [heading("The best layer of each network"), best_layers(layers, benchmarks)]
    parts += [heading("What it rests on"), basis(layers, benchmarks, dataset)]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def answer(correlations: pd.DataFrame) -> str:
    """One sentence: which area's likeness goes with predicting memorability, and by how much."""
    pooled = correlations[correlations["scope"] == "all trained"] if len(correlations) else correlations
    pooled = pooled.dropna(subset=["spearman"]) if len(pooled) else pooled
    if not len(pooled):
        return "Memorability and brain similarity were not both scored for three or more layers of trained networks."
    ranked = pooled.sort_values("spearman", ascending=False)
    best = ranked.iloc[0]
    text = (
        f"Over {best['n_layers']} layers of {best['n_models']} trained networks, the layers that predict memorability "
        f"well are those most like **{region(best['benchmark'])}**: Spearman {interval(best)}"
    )
    if len(ranked) == 1:
        return text + "."
    second = ranked.iloc[1]
    apart = best["spearman_low"] > second["spearman_high"]
    return (
        f"{text}, against {interval(second)} for {region(second['benchmark'])}, the next. The intervals "
        f"{'do not overlap' if apart else 'overlap, so the order of the two is not certain'}."
    )


def interval(row: pd.Series) -> str:
    """`0.91 [0.80, 0.95]`."""
    return f"{row['spearman']:.2f} [{row['spearman_low']:.2f}, {row['spearman_high']:.2f}]"


def relation_table(correlations: pd.DataFrame) -> str:
    """Spearman correlation of memorability with each benchmark: all trained networks, then each network."""
    scopes = list(correlations["scope"].unique())
    rows = [["Benchmark", *scopes]]
    for benchmark, group in correlations.groupby("benchmark", sort=False):
        by_scope = {row["scope"]: interval(row) for _, row in group.dropna(subset=["spearman"]).iterrows()}
        rows.append([benchmark, *(by_scope.get(scope, "–") for scope in scopes)])
    return list_table("Spearman over layers with its 95% interval (bootstrap of networks, then layers)", rows)


def best_layers(layers: pd.DataFrame, benchmarks: list[str]) -> str:
    """Per network, the highest memorability ρ and brain scores, with the layer that has them."""
    measures = {"memorability ρ": "memorability"} if "memorability" in layers else {}
    measures |= {benchmark: f"{benchmark}.score" for benchmark in benchmarks}
    rows = [["Network", *measures]]
    for model, group in layers.groupby("model", sort=False):
        name = model if group["trained"].iloc[0] else f"{model} (untrained)"
        rows.append([name, *(best_layer(group, column) for column in measures.values())])
    return list_table("Highest score and the layer that reaches it", rows)


def best_layer(layers: pd.DataFrame, column: str) -> str:
    scored = layers.dropna(subset=[column])
    if scored.empty:
        return "–"
    best = scored.loc[scored[column].idxmax()]
    return f"{best[column]:.2f} ``{best['layer']}``"


def basis(layers: pd.DataFrame, benchmarks: list[str], dataset: str | None) -> str:
    """What was scored, and what could not be."""
    counts = f"{len(layers)} layers of {layers['model'].nunique()} networks."
    if dataset:
        n_splits = sum(column.startswith("memorability_split_") for column in layers)
        counts += f" Memorability: stimulus set *{dataset}*, mean over {n_splits} splits."
    if benchmarks:
        ceilings = ", ".join(f"{region(b)} {layers[f'{b}.ceiling'].iloc[0]:.2f}" for b in benchmarks)
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
