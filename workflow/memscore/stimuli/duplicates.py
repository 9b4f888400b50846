"""Images that are in a study twice: the same file, or the same picture saved again."""

from collections.abc import Iterator, Mapping
from itertools import combinations, islice, pairwise, product

import numpy as np
import pandas as pd

from memscore.stimuli.tables import UNUSED

# Of the 64 bits of their looks, near duplicates differ in at most so many. 20 photographs of scikit-image and
# scikit-learn against themselves: JPEG at quality 20 to 90, halved, squared to 256 or 128 pixels at most 4; brighter at
# most 6; 1% cropped from each side 6 or less for 19 of 20, 2% for 13. Different photographs: 20 and more; of 119,093
# pairs of tiles from different photographs not one is below 10. Smooth images without a motif are alike by this
# measure: of the tiles of one photograph, two plain ones are 6 apart.
NEAR_BITS = 6
# Thousands of blank images would make millions of pairs: beyond so many of two looks, each image is listed once.
MOST_PAIRS_OF_A_LOOK = 100
MOST_PAIRS = 100_000
BITS_SET = np.array([n.bit_count() for n in range(1 << 16)], dtype=np.uint8)


class Duplicates:
    """Which readable images of one stimulus set look like which, there and in other sets.

    images : the set's own first, then those of others: `set`, `stimulus_id`, `sha256`
    own : boolean array (n_images,), the set's own
    """

    def __init__(self, images: pd.DataFrame, others: Mapping[str, pd.DataFrame]):
        """images, others: tables of `inspection.inspect`, of this set and by name of others'."""
        tables = {None: images, **others}
        parts = [table[table["problem"] == ""].assign(set=name) for name, table in tables.items()]
        self.images = pd.concat(parts, ignore_index=True)
        self.own = np.arange(len(self.images)) < len(parts[0])
        looks = np.array([int(look, 16) for look in self.images["look"]], dtype=np.uint64)
        looks, self._look = np.unique(looks, return_inverse=True)
        self._near = near(looks)
        self._file = pd.factorize(self.images["sha256"])[0]

    def twins(self, among: np.ndarray) -> np.ndarray:
        """How many others of the images `among` (boolean) are exact or near duplicates of each image, (n_images,)."""
        first, second, _ = self._near
        n = np.bincount(self._look[among], minlength=self._look.max(initial=-1) + 1)
        total = n.copy()
        np.add.at(total, first, n[second])
        np.add.at(total, second, n[first])
        return total[self._look] - among

    def same_file(self, among: np.ndarray) -> np.ndarray:
        """How many others of the images `among` (boolean) are the very same file as each image, (n_images,)."""
        return np.bincount(self._file[among], minlength=self._file.max(initial=-1) + 1)[self._file] - among

    def straddling(self, splits: pd.DataFrame) -> pd.DataFrame:
        """Which own images are in train and have a duplicate in test, boolean, one column a split.

        splits : the split columns of the set's own readable images
        """
        return splits.apply(
            lambda split: (split == "train") & (self.twins(self._padded(split == "test"))[self.own] > 0)
        )

    def pairs(self, splits: pd.DataFrame) -> pd.DataFrame:
        """One row a pair: both stimuli, the other's set where it is another, kind, bits apart, splits it straddles.

        At most `MOST_PAIRS`; of more than `MOST_PAIRS_OF_A_LOOK` of two looks, each image with the first one.
        """
        found = list(islice(self._pairs(), MOST_PAIRS))
        a, b, distance = np.array(found, dtype=int).reshape(-1, 3).T
        straddles = np.full(len(a), "", dtype=object)
        for split in splits:
            train, test = (self._padded(splits[split] == part) for part in ("train", "test"))
            straddles[(train[a] & test[b]) | (test[a] & train[b])] += f"{split} "
        columns = self.images[["set", "stimulus_id"]]
        return pd.DataFrame(
            {
                "stimulus_id": columns["stimulus_id"].to_numpy()[a],
                "other_set": columns["set"].fillna("").to_numpy()[b],
                "other_id": columns["stimulus_id"].to_numpy()[b],
                "kind": np.where(self._file[a] == self._file[b], "exact", "near"),
                "distance": distance,
                "straddles": [text.rstrip() for text in straddles],
            }
        )

    def _pairs(self) -> Iterator[tuple[int, int, int]]:
        """(own row, other row, bits apart)."""
        order = np.argsort(self._look, kind="stable")
        counts = np.bincount(self._look)
        members = np.split(order, np.cumsum(counts)[:-1]) if len(counts) else []
        several = np.flatnonzero(counts > 1)
        looks = [(i, i, 0) for i in several] + list(zip(*self._near, strict=True))
        for first, second, distance in looks:
            for a, b in _some(list(members[first]), None if first == second else list(members[second])):
                # Own rows are the lower ones.
                if self.own[min(a, b)]:
                    yield min(a, b), max(a, b), distance

    def _padded(self, own: pd.Series) -> np.ndarray:
        """Booleans of the set's own images as those of all, False for others."""
        among = np.zeros(len(self.images), dtype=bool)
        among[self.own] = own
        return among


def summary(found: Duplicates, splits: pd.DataFrame) -> str:
    """How many images of a set have duplicates, and how many of train have one in test."""
    exact, twins = found.same_file(found.own)[found.own], found.twins(found.own)[found.own]
    text = f"{(twins > 0).sum()} of {len(twins)} images have a duplicate in the set, {(exact > 0).sum()} an exact one"
    straddling = found.straddling(splits).sum()
    if straddling.any():
        text += "; in train with one in test: " + ", ".join(f"{n} in {split}" for split, n in straddling.items())
    return text


def without(table: pd.DataFrame, straddling: pd.DataFrame) -> pd.DataFrame:
    """The stimulus table with what straddles a split used in neither part of that split."""
    return table.assign(**{split: table[split].mask(straddling[split], UNUSED) for split in straddling})


def near(looks: np.ndarray, bits: int = NEAR_BITS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of different looks, uint64 (n,), at most `bits` apart: rows i < j, and how many bits.

    Of bits + 1 bands of a look, one must be equal: only looks that share a band are compared.
    """
    found = {key: [np.empty(0, dtype=int)] for key in ("pair", "distance")}
    edges = np.linspace(0, 64, bits + 2).astype(int)
    for low, high in pairwise(edges):
        band = (looks >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        band = band[order]
        # Each look with the next of the same band, then with the one after that, until no band goes on.
        here, step = np.arange(len(looks)), 1
        while len(here):
            here = here[: np.searchsorted(here, len(looks) - step)]
            here = here[band[here] == band[here + step]]
            a, b = order[here], order[here + step]
            distance = BITS_SET[(looks[a] ^ looks[b]).view(np.uint16).reshape(-1, 4)].sum(1, dtype=int)
            close = distance <= bits
            found["pair"].append(np.minimum(a, b)[close] * len(looks) + np.maximum(a, b)[close])
            found["distance"].append(distance[close])
            step += 1
    pair, index = np.unique(np.concatenate(found["pair"]), return_index=True)
    first, second = np.divmod(pair, max(1, len(looks)))
    return first, second, np.concatenate(found["distance"])[index]


def _some(first: list[int], second: list[int] | None) -> Iterator[tuple[int, int]]:
    """Pairs within one group of images, or between two: all if they are few, else each image with a group's first."""
    if second is None:
        few = len(first) * (len(first) - 1) // 2 <= MOST_PAIRS_OF_A_LOOK
        return combinations(first, 2) if few else product(first[:1], first[1:])
    few = len(first) * len(second) <= MOST_PAIRS_OF_A_LOOK
    return product(first, second) if few else iter([*product(first[:1], second), *product(first[1:], second[:1])])
