"""Every image looked at once, duplicates by all ways to save a picture again, and what is left out because of them."""

import io
import os
from importlib.resources import files
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from staged import refusal

from memscore.report import stimulus_page
from memscore.stimuli import duplicates, inspection, selection, tables
from memscore.stimuli.duplicates import Duplicates
from memscore.stimuli.pixels import load_image
from memscore.stimuli.sources.simulated import PHOTOGRAPHS
from memscore.stimuli.splits import lamem_like_splits, made_splits, memorability_splits


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    paths = [files(package) / name for package, names in PHOTOGRAPHS.items() for name in names]
    return [load_image(path) for path in paths]


def saved_again(image, quality) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def cropped(image, share) -> Image.Image:
    x, y = int(share * image.width), int(share * image.height)
    return image.crop((x, y, image.width - x, image.height - y))


def distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def facts(looks, hashes=None, problems=None) -> pd.DataFrame:
    """A table of `inspection.inspect` with made-up looks (integers)."""
    n = len(looks)
    columns = {
        "stimulus_id": [f"s{i}" for i in range(n)],
        "path": [f"{i}.png" for i in range(n)],
        "width": "8",
        "height": "8",
        "brightest": "255",
        "sha256": hashes or [f"{i:x}" for i in range(n)],
        "look": [f"{look:016x}" for look in looks],
        "problem": problems or [""] * n,
    }
    return pd.DataFrame(columns)


def made(n) -> pd.DataFrame:
    """A selected table of so many images with made splits, as text."""
    ids = pd.Series([f"{i:02d}" for i in range(n)])
    made = made_splits(ids, np.zeros(n, int), 2, 1)
    return pd.concat([pd.DataFrame({"stimulus_id": ids, "memorability": "0." + ids}), made], axis=1)


# Looking


def test_facts_of_good_and_bad_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:400])
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    names = ["good.png", "cut.png", "folder.png", "loop.png", "missing.png"]
    table = pd.DataFrame({"stimulus_id": [f"the {name}" for name in names], "path": names})
    done = []
    found = inspection.inspect(table, tmp_path, progress=done.append, threads=3)
    assert done == list(range(1, 6))
    assert list(found["stimulus_id"]) == list(table["stimulus_id"])
    words = ["", "truncated", "cannot be read", "cannot be read", "no such image"]
    for problem, word in zip(found["problem"], words, strict=True):
        assert word in problem
        assert str(tmp_path) not in problem.partition("(")[0]
    assert found.loc[0, ["width", "height", "brightest", "problem"]].to_list() == ["30", "20", str(pixels.max()), ""]
    assert (found.loc[1:, ["width", "sha256", "look"]] == "").all(axis=None)


def test_only_what_changed_is_decoded_again(tmp_path, monkeypatch):
    table = pd.DataFrame({"stimulus_id": list("abcd"), "path": [f"{i}.png" for i in range(4)]})
    for path in table["path"]:
        Image.new("RGB", (8, 8), "red").save(tmp_path / path)
    (tmp_path / "3.png").write_text("bad")
    known = inspection.inspect(table, tmp_path)
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "1.png")
    os.utime(tmp_path / "2.png", ns=(1, 1))
    decoded = []
    load = load_image
    monkeypatch.setattr(inspection.pixels, "load_image", lambda path: decoded.append(path.name) or load(path))
    again = inspection.inspect(table.assign(stimulus_id=list("wxyz")), tmp_path, known)
    assert decoded == ["1.png", "2.png", "3.png"]
    assert list(again["stimulus_id"]) == list("wxyz")
    assert list(again["width"]) == ["8", "9", "8", ""]


def test_what_an_earlier_version_found_is_looked_at_again(tmp_path):
    table = pd.DataFrame({"stimulus_id": ["a"], "path": ["a.png"]})
    Image.new("RGB", (8, 8), (9, 3, 0)).save(tmp_path / "a.png")
    known = inspection.inspect(table, tmp_path).drop(columns="brightest")
    known.to_csv(tmp_path / "images.csv", index=False)
    assert list(inspection.read(tmp_path / "images.csv")["brightest"]) == [""]
    assert list(inspection.inspect(table, tmp_path, known)["brightest"]) == ["9"]


def test_mended_images_are_looked_at_again_when_read(tmp_path):
    table = pd.DataFrame({"stimulus_id": ["007", "NA"], "path": ["a.png", "b.png"]})
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    inspection.inspect(table, tmp_path).to_csv(tmp_path / "images.csv", index=False)
    assert list(inspection.read(tmp_path / "images.csv")["problem"] == "") == [True, False]
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    mended = inspection.read(tmp_path / "images.csv")
    assert list(mended["problem"]) == ["", ""]
    assert list(mended["stimulus_id"]) == ["007", "NA"]
    assert mended["sha256"].nunique() == 1


def test_looks_tell_pictures_apart_and_copies_not(photographs):
    """What `duplicates.NEAR_BITS` rests on."""
    looks = [inspection.look(image) for image in photographs]
    assert min(distance(a, b) for a, b in combinations(looks, 2)) >= 20

    def n_found(copy) -> int:
        apart = [distance(inspection.look(copy(p)), look) for p, look in zip(photographs, looks, strict=True)]
        return sum(bits <= duplicates.NEAR_BITS for bits in apart)

    for quality in (90, 50, 20):
        assert n_found(lambda image, quality=quality: saved_again(image, quality)) == 20
    assert n_found(lambda image: image.resize((image.width // 2, image.height // 2))) == 20
    assert n_found(lambda image: saved_again(image.resize((128, 128)), 75)) == 20
    assert n_found(lambda image: image.point(lambda value: min(255, int(1.1 * value + 10)))) == 20
    assert n_found(lambda image: cropped(image, 0.01)) >= 19
    assert n_found(lambda image: cropped(image, 0.02)) >= 12


def test_blank_images_look_alike():
    looks = [inspection.look(Image.new("RGB", (50, 40), colour)) for colour in ("white", "black", "red", "#7f8081")]
    assert max(distance(a, b) for a, b in combinations(looks, 2)) <= 1


# Near duplicates


def by_brute_force(looks, bits) -> list[tuple]:
    apart = ((i, j, (int(looks[i]) ^ int(looks[j])).bit_count()) for i, j in combinations(range(len(looks)), 2))
    return [pair for pair in apart if pair[2] <= bits]


@given(
    centres=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
    flips=st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=6)), max_size=25),
    bits=st.integers(0, 8),
)
def test_near_pairs_are_those_of_brute_force(centres, flips, bits):
    """Looks scattered around a few centres, so that many pairs are at any small distance."""
    moved = {centres[i % len(centres)] ^ sum(1 << bit for bit in flipped) for i, flipped in flips}
    looks = np.array(sorted(moved | set(centres)), dtype=np.uint64)
    np.random.default_rng(len(looks)).shuffle(looks)
    found = list(zip(*(column.tolist() for column in duplicates.near(looks, bits)), strict=True))
    assert found == by_brute_force(looks, bits)


# Two looks 3 bits apart, one image of the first look twice (the same file), one that is far from all, one unreadable.
LOOKS = [0, 0, 0b111, 0xFFFF_0000_FFFF_0000, 0]
FILES = ["a", "a", "b", "c", ""]
SPLITS = pd.DataFrame(
    {"split_1": ["train", "test", "train", "train", "test"], "split_2": ["val", "train", "test", "test", "test"]}
)


@pytest.fixture
def images() -> pd.DataFrame:
    return facts(LOOKS, FILES, ["", "", "", "", "truncated; replace it"])


def test_duplicates_are_counted_within_the_set(images):
    found = Duplicates(images, {})
    assert list(found.twins(found.own)) == [2, 2, 2, 0]
    assert list(found.same_file(found.own)) == [1, 1, 0, 0]
    straddling = found.straddling(SPLITS[:4])
    assert list(straddling["split_1"]) == [True, False, True, False]
    assert list(straddling["split_2"]) == [False, True, False, False]
    text = duplicates.summary(found, SPLITS[:4])
    assert text.startswith("3 of 4 images have a duplicate in the set, 2 an exact one; in train with one in test: 2 in")


def test_pairs_are_listed(images):
    pairs = Duplicates(images, {}).pairs(SPLITS[:4])
    assert pairs.to_numpy().tolist() == [
        ["s0", "", "s1", "exact", 0, "split_1"],
        ["s0", "", "s2", "near", 3, ""],
        ["s1", "", "s2", "near", 3, "split_1 split_2"],
    ]


def test_duplicates_between_sets(images):
    other = facts([0xFFFF_0000_FFFF_0001, 1 << 63, 1 << 62], ["c2", "a", "far"]).assign(stimulus_id=["x", "y", "z"])
    found = Duplicates(images, {"other": other})
    assert stimulus_page.between(found, "other") == 3 + 1
    pairs = found.pairs(SPLITS[:4])
    outside = pairs[pairs["other_set"] == "other"]
    assert set(outside["straddles"]) == {""}
    assert ["s3", "other", "x", "near", 1, ""] in outside.to_numpy().tolist()
    assert ["s0", "other", "y", "exact", 1, ""] in outside.to_numpy().tolist()
    assert "z" in set(outside["other_id"])
    # Others of the other set are no pair of this one, and do not change what is counted within.
    assert set(pairs["stimulus_id"]) <= {"s0", "s1", "s2", "s3"}
    assert found.straddling(SPLITS[:4]).equals(Duplicates(images, {}).straddling(SPLITS[:4]))


def test_thousands_of_blank_images_make_no_millions_of_pairs():
    n = 5000
    found = Duplicates(facts([0] * n), {})
    splits = pd.DataFrame({"split_1": ["test"] + ["train"] * (n - 1)})
    assert found.straddling(splits)["split_1"].sum() == n - 1
    assert list(found.twins(found.own)) == [n - 1] * n
    pairs = found.pairs(splits)
    assert len(pairs) == n - 1
    assert pairs["other_id"].nunique() == n - 1


@given(st.data())
def test_straddling_is_that_of_brute_force(data):
    n = data.draw(st.integers(1, 25))
    looks = data.draw(st.lists(st.sampled_from([0, 1, 0b1111111, 0xFF, 1 << 60, 2**64 - 1]), min_size=n, max_size=n))
    split = data.draw(st.lists(st.sampled_from(["train", "val", "test", "unused"]), min_size=n, max_size=n))
    found = Duplicates(facts(looks), {})
    close = [[(a ^ b).bit_count() <= duplicates.NEAR_BITS for b in looks] for a in looks]
    expected = [
        split[i] == "train" and any(close[i][j] and split[j] == "test" for j in range(n) if j != i) for i in range(n)
    ]
    splits = pd.DataFrame({"split_1": split})
    assert list(found.straddling(splits)["split_1"]) == expected
    pairs = found.pairs(splits)
    straddled = (pairs["straddles"] != "").sum()
    across = [(i, j) for i, j in combinations(range(n), 2) if {split[i], split[j]} == {"train", "test"}]
    assert straddled == sum(close[i][j] for i, j in across)


# Selecting


STAGED = pd.concat([facts(LOOKS)[["stimulus_id", "path"]].assign(memorability="0.50"), SPLITS], axis=1)


def select(images, on_bad_image="stop", drop_duplicates=False) -> tuple:
    said = []
    return *selection.select(STAGED, images, "mine", on_bad_image, drop_duplicates, "x/bad.csv", said.append), said


def test_bad_images_stop_the_study(images):
    assert refusal(select, images) == (
        "1 of 5 images of mine cannot be used, listed in x/bad.csv: the first is 4.png (truncated); replace them, or "
        "set datasets: mine: on_bad_image: skip"
    )


def test_bad_images_are_skipped(images):
    table, _, said = select(images, on_bad_image="skip")
    assert said[0] == "1 of 5 images of mine cannot be used, listed in x/bad.csv: they are left out everywhere"
    pd.testing.assert_frame_equal(table, STAGED[:4])


def test_images_darker_than_any_photograph_are_named(images):
    _, _, said = select(images.assign(brightest=["200", "31", "32", "15", ""]), on_bad_image="skip")
    assert said[0].startswith("2 of 5 images of mine are darker than any photograph: ")
    assert said[0].endswith("the first is 1.png")


def scored(sides, scores=None) -> pd.DataFrame:
    """A selected table of one split, as text."""
    n = len(sides)
    scores = [f"0.{i:02d}" for i in range(n)] if scores is None else scores
    return pd.DataFrame({"stimulus_id": [f"{i}" for i in range(n)], "memorability": scores, "split_1": sides})


@pytest.mark.parametrize(
    ("table", "n_components", "choose", "words"),
    [
        pytest.param(made(3), 0, True, ["mine, 3 images in all: split_1 trains on 0", "add stimuli"], id="three"),
        pytest.param(made(9), 0, True, ["mine, 9 images in all: split_1 trains on 2"], id="nine"),
        pytest.param(made(10), 0, True, None, id="ten"),
        pytest.param(made(20), 25, False, ["lower memorability: components"], id="fewer-than-components"),
        pytest.param(scored(["train"] * 9 + ["test"] * 2), 3, False, ["tests on 2"], id="two-to-test"),
        pytest.param(
            scored(["train"] * 9 + ["test"] * 3, ["0.5"] * 9 + ["0.1", "0.2", "0.3"]),
            3,
            False,
            ["split_1 trains on 9 images which all have the score 0.5"],
            id="constant",
        ),
    ],
)
def test_a_set_that_no_regression_could_use_is_refused_before_the_networks(table, n_components, choose, words):
    if words is None:
        selection.check_usable(table, "mine", n_components, choose)
    else:
        message = refusal(selection.check_usable, table, "mine", n_components, choose)
        assert message.startswith("config: datasets: mine, ")
        assert all(word in message for word in words), message


def test_a_set_of_bad_images_only_is_not_skipped():
    message = refusal(select, facts(LOOKS, problems=["truncated"] * 5), on_bad_image="skip")
    assert message.startswith("5 of 5 images")
    assert "skip" not in message


def test_duplicates_leave_train_and_nothing_else(images):
    table, pairs, _ = select(images, on_bad_image="skip", drop_duplicates=True)
    assert list(table["split_1"]) == ["unused", "test", "unused", "train"]
    assert list(table["split_2"]) == ["val", "unused", "test", "test"]
    pd.testing.assert_frame_equal(table[["stimulus_id", "path", "memorability"]], STAGED.iloc[:4, :3])
    assert len(pairs) == 3
    train, test, _ = memorability_splits(table.assign(split_2=table["split_1"]).iloc[[0, 1, 2, 3] * 3], "x", 2)
    assert train[0].sum() == 3
    assert test[0].sum() == 3


def test_no_splits_and_no_images_do_no_harm():
    images = facts([0, 0])
    found = Duplicates(images, {})
    assert found.straddling(pd.DataFrame(index=range(2))).shape == (2, 0)
    assert len(found.pairs(pd.DataFrame(index=range(2)))) == 1
    assert len(Duplicates(images.assign(problem="bad"), {}).pairs(pd.DataFrame())) == 0


def test_thousands_of_images_without_flaws_are_used_as_they_were_staged(tmp_path):
    """So many that to compare each with every other would take minutes."""
    n, rng = 20_000, np.random.default_rng(0)
    images = facts([int(look) for look in rng.integers(0, 2**63, n)])
    images[["n_bytes", "modified_ns"]] = "1"
    images.to_csv(tmp_path / "images.csv", index=False)
    table = pd.concat([images[["stimulus_id", "path"]], lamem_like_splits(n, 5, 1)], axis=1)
    tables.write_table(tmp_path / "staged.csv", table)
    staged, read = tables.read_text(tmp_path / "staged.csv"), inspection.read(tmp_path / "images.csv")
    selected, _ = selection.select(staged, read, "mine", "stop", True, "bad.csv", lambda message: None)
    tables.write_table(tmp_path / "stimuli.csv", selected)
    assert (tmp_path / "stimuli.csv").read_bytes() == (tmp_path / "staged.csv").read_bytes()


# The page


def page(folder, table, flaws=None, others=None) -> tuple[str, pd.DataFrame]:
    flaws = {"on_bad_image": "stop", "drop_duplicates": False} if flaws is None else flaws
    images = inspection.inspect(table, folder)
    return stimulus_page.write("my<set>", table.astype(str), images, others or {}, folder, flaws, seed=1)


def test_names_are_escaped_and_thumbnails_embedded(tmp_path):
    names = ['<script>alert("1")<_script>.png', "a & b 'c'.png", "x" * 200 + ".png"]
    for i, name in enumerate(names):
        pixels = np.random.default_rng(i).integers(0, 256, (30, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    table = pd.DataFrame({"stimulus_id": names, "path": names, "memorability": [0.1, 0.5, 0.9]})
    table = table.assign(split_1=["train", "test", "val"])
    (tmp_path / names[1]).write_text("<b>bad</b>")
    html, _ = page(tmp_path, table)
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;_script&gt;.png" in html
    assert "a &amp; b &#39;c&#39;.png" in html
    assert "my&lt;set&gt;" in html
    assert html.count("data:image/jpeg;base64,") == 2
    assert html.count("data:image/svg+xml;base64,") == 1
    assert "1 of them cannot be" in html
    assert "the study does not go on until they are replaced, or on_bad_image: skip" in html


@pytest.mark.parametrize("n", [1, 2, 60])
def test_contact_sheets(tmp_path, n):
    for i in range(n):
        Image.new("RGB", (30, 20), (4 * i, 0, 0)).save(tmp_path / f"{i}.png")
    ids = [f"{i}.png" for i in range(n)]
    scored = pd.DataFrame({"stimulus_id": ids, "path": ids, "memorability": np.linspace(0.2, 0.8, n).astype(str)})
    most, least = stimulus_page.sheets(scored, tmp_path, seed=1)
    assert len(most["cells"]) == len(least["cells"]) == min(24, (n + 1) // 2)
    assert most["cells"][0]["id"] == ids[-1]
    assert least["cells"][0]["id"] == ids[0]
    (sample,) = stimulus_page.sheets(scored.drop(columns="memorability"), tmp_path, seed=1)
    assert sample == stimulus_page.sheets(scored.drop(columns="memorability"), tmp_path, seed=1)[0]
    assert len({cell["id"] for cell in sample["cells"]}) == min(24, n)
    html, pairs = page(tmp_path, scored.drop(columns="memorability"), flaws={})
    assert "Scores" not in html
    assert set(pairs["stimulus_id"]) | set(pairs["other_id"]) == (set(ids) if n > 1 else set())


def test_a_page_of_bad_images_only(tmp_path):
    table = pd.DataFrame({"stimulus_id": ["a"], "path": ["a.png"], "memorability": ["0.5"], "split_1": ["train"]})
    html, _ = page(tmp_path, table, others={"datasets/other": facts([0])})
    assert "1 of them cannot be" in html
    assert "datasets/other" in html
