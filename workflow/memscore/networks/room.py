"""What layers take between network and regression, and how many of them go through a network at once.

A job keeps its layers on its node: on the network's GPU if they all fit there, else in memory, else in a file in its
scratch folder. What fits nowhere together is taken in several forward passes. All sizes are in bytes. Read while the
DAG is built, so nothing heavy is imported here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from memscore.errors import InputError

# Python, torch and the network's weights.
FIXED = 2_000_000_000
# Of a batch, a network holds about three maps of 64 channels at the input's resolution at its worst (VGG).
VALUES_PER_PIXEL = 3 * 64
# Of a layer as it is scored: float32 as it is held, checked for flaws, then in float64 up to SMALL, and what PLS adds.
SMALL, SUMS = 2_150_000_000, 400_000_000


@dataclass(frozen=True)
class Layer:
    """held : a layer of all stimuli; references : what principal components need of it in scratch, 0 without them."""

    name: str
    held: int
    references: int
    scoring: int


def layer(name: str, n_features: int, n_stimuli: int, sketch: int | None, pca: int | None) -> Layer:
    """What one layer takes, from its size before reduction."""
    sketched = min(n_features, sketch or n_features)
    references = 4 * pca * sketched if pca and sketched > pca else 0
    kept = pca - 1 if references else sketched
    values = n_stimuli * kept
    # With more features than stimuli they are turned into as many, through a QR decomposition.
    scoring = 40 * values if kept > n_stimuli else 6 * values + min(8 * values, SMALL)
    return Layer(name, 4 * values, references, scoring + SUMS)


def layers(described: Sequence[Mapping], n_stimuli: int, sketch: int | None, pca: int | None) -> dict[str, Layer]:
    """What each of a network's layers takes, by name, from their descriptions."""
    return {each["name"]: layer(each["name"], each["n_features"], n_stimuli, sketch, pca) for each in described}


def overhead(layers: Collection[Layer], input_size: Sequence[int], batch_size: int) -> int:
    """What a job takes beside the layers it holds: the network, a batch, and the regression of its largest layer."""
    height, width = input_size
    batch = 4 * VALUES_PER_PIXEL * batch_size * height * width
    return FIXED + batch + max(each.scoring for each in layers)


def declared(layers: Collection[Layer], beside: int, memory: int, scratch: int) -> tuple[int, int]:
    """(memory, scratch) that a job asks for: what would hold all of its layers at once, or what it is allowed.

    beside : its `overhead`; memory, scratch : the config's `resources`
    """
    held, references = sum(each.held for each in layers), sum(each.references for each in layers)
    fits = beside + held <= memory
    return min(beside + held, max(memory, beside)), min(references + (0 if fits else held), scratch)


def passes(layers: Collection[Layer], capacity: Mapping[str, float]) -> tuple[str, list[list[str]]]:
    """Where layers are held, and the names of those of each forward pass, in their order.

    capacity : of each place, the fastest first: the first that holds all of them is taken, or else the largest. One is
        `scratch`, where references are in any case.

    Raises InputError for a layer that does not fit alone.
    """
    total = sum(each.held for each in layers)
    place = next((name for name, room in capacity.items() if room >= total), max(capacity, key=capacity.get))
    room = {"place": capacity[place], "scratch": capacity["scratch"]}
    taken, left = [[]], dict(room)
    for each in layers:
        # What is held in scratch takes from the same.
        need = {"place": each.held, "scratch": each.references + (each.held if place == "scratch" else 0)}
        if any(need[kind] > room[kind] for kind in need):
            given = ", ".join(f"{max(size, 0) / 1e9:.2g} GB of {name}" for name, size in capacity.items())
            raise InputError(
                f"layer {each.name}: needs {max(need.values()) / 1e9:.2g} GB, and the job has {given} for layers; "
                "raise memory_gb or scratch_gb under resources in the config, or lower reduction: sketch"
            )
        if any(need[kind] > left[kind] for kind in need):
            taken.append([])
            left = dict(room)
        taken[-1].append(each.name)
        left = {kind: left[kind] - need[kind] for kind in need}
    return place, taken
