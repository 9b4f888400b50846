"""Stimulus tables, splits and pixels: every kind of image file, and every way a table can be wrong."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from staged import refusal
from staged import stage as stage_source

from memscore.stimuli import state, tables
from memscore.stimuli.pixels import images_in_folder, images_of_table, load_image, references, write_pixels
from memscore.stimuli.sources import table as table_source
from memscore.stimuli.sources.folders import Images
from memscore.stimuli.splits import memorability_splits

RED, WHITE = (255, 0, 0), (255, 255, 255)


def colours(n_rows=20, n_columns=30, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n_rows, n_columns, 3), dtype=np.uint8)


def photograph(n_rows=90, n_columns=120) -> Image.Image:
    """Smooth enough for JPEG to keep."""
    return Image.fromarray(colours(3, 4)).resize((n_columns, n_rows), Image.Resampling.BICUBIC)


def pixels_of(path) -> np.ndarray:
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


# Images


def truncated(path):
    photograph().save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda path: None, "no such image", id="missing"),
        pytest.param(lambda path: path.symlink_to("nowhere.jpg"), "no such image", id="broken-link"),
        pytest.param(truncated, "truncated", id="truncated"),
        pytest.param(lambda path: path.write_bytes(b""), "the file is empty", id="zero-size"),
        pytest.param(lambda path: path.write_text("no image"), "cannot be read", id="text"),
        pytest.param(lambda path: path.mkdir(), "cannot be read", id="directory"),
        pytest.param(lambda path: path.symlink_to(path), "cannot be read", id="looping-link"),
    ],
)
def test_unreadable_image_is_refused(tmp_path, spoil, words):
    path = tmp_path / "x.jpg"
    spoil(path)
    message = refusal(load_image, path)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert message.endswith(("replace it or remove its line", "correct the path in the stimulus table"))


def test_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("")
    assert "a.png/b.png: no such image" in refusal(load_image, tmp_path / "a.png/b.png")


@pytest.mark.parametrize("name", ["a.png", "A.PNG", "a b.png", "ärger 日本.png", "no_suffix", "misnamed.jpg"])
def test_any_file_name_will_do(tmp_path, name):
    Image.fromarray(colours()).save(tmp_path / name, "PNG")
    assert np.array_equal(pixels_of(tmp_path / name), colours())


GREY = colours()[..., 0]


@pytest.mark.parametrize(
    ("stored", "mode", "grey"), [(GREY, "L", GREY), (GREY > 127, "1", np.where(GREY > 127, 255, 0))], ids=["L", "1"]
)
def test_grey_is_three_equal_channels(tmp_path, stored, mode, grey):
    Image.fromarray(stored).save(tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").mode == mode
    assert np.array_equal(pixels_of(tmp_path / "x.png"), np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("brightest", [65535, 30000, 17000])
def test_sixteen_bit_is_scaled_whatever_its_brightness(tmp_path, brightest):
    wide = np.linspace(0, brightest, 600).reshape(20, 30).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").mode == "I;16"
    assert np.abs(pixels_of(tmp_path / "x.png")[..., 0] - wide / 257).max() <= 0.5


@pytest.mark.parametrize(
    ("stored", "name", "words"),
    [
        pytest.param(np.linspace(0, 1, 600, dtype=np.float32), "x.tif", "holds floating-point numbers", id="float"),
        pytest.param(np.linspace(0, 255, 600).astype(np.int32), "x.tif", "numbers of 32 bits", id="32-bit"),
        pytest.param(np.linspace(0, 65535, 600).astype(np.int32), "x.tif", "numbers of 32 bits", id="32-bit-bright"),
        pytest.param(np.linspace(0, 255, 600).astype(np.uint16), "x.png", "at most the lower 14", id="8-in-16"),
        pytest.param(np.linspace(0, 4095, 600).astype(np.uint16), "x.tif", "at most the lower 14", id="12-in-16"),
        pytest.param(np.linspace(0, 16383, 600).astype(np.uint16), "x.tif", "at most the lower 14", id="14-in-16"),
        pytest.param(np.linspace(0, 255, 600).astype(np.uint16), "x.pgm", "at most the lower 14", id="8-in-PGM"),
    ],
)
def test_numbers_of_which_nothing_says_what_is_white_are_refused(tmp_path, stored, name, words):
    """They would be all but black, or all but white."""
    Image.fromarray(stored.reshape(20, 30)).save(tmp_path / name)
    message = refusal(load_image, tmp_path / name)
    assert words in message
    assert message.endswith(("; save it with 8 or 16 bits", "; scale it to 16 bits, or save it with 8"))


@pytest.mark.parametrize(("highest", "is_read"), [(65535, True), (255, False), (4095, False), (16383, False)])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colours_are_those_of_eight_or_refused(tmp_path, highest, is_read, channels):
    """Pillow keeps the upper 8 bits of each, which of a file of 8 bits are black."""
    cv2.imwrite(str(tmp_path / "x.png"), np.full((4, 4, channels), highest, np.uint16))
    if is_read:
        assert (pixels_of(tmp_path / "x.png") == 255).all()
    else:
        assert "at most the lower 14 are used" in refusal(load_image, tmp_path / "x.png")


def test_dark_colours_of_five_bits_are_no_sixteen(tmp_path):
    """A BMP with 16 bits a pixel: 5 or 6 a channel."""
    size, pixels = (2, 1), np.array([0b00010_000100_00010] * 2, "<u2").tobytes()
    masks = b"".join(mask.to_bytes(4, "little") for mask in (0xF800, 0x07E0, 0x001F))
    head = struct.pack("<IiiHHIIiiII", 40, *size, 1, 16, 3, len(pixels), 0, 0, 0, 0) + masks
    (tmp_path / "x.bmp").write_bytes(struct.pack("<2sIHHI", b"BM", 70, 0, 0, 66) + head + pixels)
    assert pixels_of(tmp_path / "x.bmp").max() == 16


def test_a_pgm_says_what_its_white_is(tmp_path):
    (tmp_path / "x.pgm").write_bytes(b"P5 2 1 4095\n" + np.array([4095, 2048], ">u2").tobytes())
    assert pixels_of(tmp_path / "x.pgm")[0, :, 0].tolist() == [255, 128]


def test_a_telephone_s_heic_is_read(tmp_path):
    image = photograph()
    image.save(tmp_path / "IMG_1.HEIC", "HEIF", quality=95)
    assert np.abs(pixels_of(tmp_path / "IMG_1.HEIC") - np.asarray(image, dtype=float)).mean() < 3
    assert images_in_folder(tmp_path) == [tmp_path / "IMG_1.HEIC"]


def with_alpha(mode: str, colour: tuple) -> Image.Image:
    """Left half opaque, right half transparent."""
    image = Image.new(mode, (8, 4), (*colour, 255))
    image.paste((*colour, 0), (4, 0, 8, 4))
    return image


def palette() -> Image.Image:
    image = Image.new("P", (8, 4), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.paste(1, (4, 0, 8, 4))
    return image


@pytest.mark.parametrize(
    ("image", "options", "opaque"),
    [
        pytest.param(with_alpha("RGBA", RED), {}, RED, id="RGBA"),
        pytest.param(with_alpha("LA", (70,)), {}, (70, 70, 70), id="LA"),
        pytest.param(palette(), {"transparency": 1}, RED, id="palette"),
        pytest.param(palette().convert("RGB"), {"transparency": (0, 0, 255)}, RED, id="RGB-key"),
    ],
)
def test_transparent_is_white(tmp_path, image, options, opaque):
    image.save(tmp_path / "x.png", **options)
    assert Image.open(tmp_path / "x.png").mode == image.mode
    pixels = pixels_of(tmp_path / "x.png")
    assert (pixels[:, :4] == opaque).all()
    assert (pixels[:, 4:] == WHITE).all()


def test_half_transparent_is_mixed_with_white(tmp_path):
    Image.new("RGBA", (2, 2), (0, 100, 200, 51)).save(tmp_path / "x.png")
    expected = np.array([0, 100, 200]) * 0.2 + 255 * 0.8
    assert np.abs(pixels_of(tmp_path / "x.png") - expected).max() <= 1


def test_opaque_palette_keeps_its_colours(tmp_path):
    palette().save(tmp_path / "x.gif")
    assert (pixels_of(tmp_path / "x.gif")[:, 4:] == (0, 0, 255)).all()


def test_cmyk_keeps_its_colours(tmp_path):
    photograph().convert("CMYK").save(tmp_path / "x.jpg", quality=95)
    assert Image.open(tmp_path / "x.jpg").mode == "CMYK"
    assert np.abs(pixels_of(tmp_path / "x.jpg") - np.asarray(photograph(), dtype=float)).mean() < 3


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda upright: upright),
        (2, lambda upright: upright[:, ::-1]),
        (3, lambda upright: np.rot90(upright, 2)),
        (6, lambda upright: np.rot90(upright, 1)),
        (8, lambda upright: np.rot90(upright, -1)),
    ],
)
def test_exif_rotated_is_upright(tmp_path, orientation, turn):
    """A camera stores what its sensor saw and a tag that says how to turn it."""
    upright = colours()
    tag = Image.Exif()
    tag[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turn(upright))).save(tmp_path / "x.png", exif=tag)
    assert np.array_equal(pixels_of(tmp_path / "x.png"), upright)
    write_pixels(tmp_path / "stored.npy", [tmp_path / "x.png"], turn(upright).shape[:2], "nearest", upright=False)
    assert np.array_equal(np.load(tmp_path / "stored.npy")[0], turn(upright))


# Pixels


@pytest.mark.parametrize(
    ("interpolation", "threads"), [("bilinear", 1), ("bicubic", 4), ("nearest", 1), ("lanczos", 4)]
)
def test_pixels_are_those_of_an_independent_resize(tmp_path, interpolation, threads):
    sizes = [(40, 60), (64, 48), (200, 10), (48, 64), (1, 1)]
    images = [Image.fromarray(colours(*size, seed=i)) for i, size in enumerate(sizes)]
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    done = []
    target = tmp_path / "deep/pixels.npy"
    write_pixels(target, paths, (48, 64), interpolation, progress=done.append, threads=threads)
    pixels = np.load(target)
    assert pixels.shape == (len(images), 48, 64, 3)
    assert pixels.dtype == np.uint8
    for image, row in zip(images, pixels, strict=True):
        expected = image.resize((64, 48), getattr(Image.Resampling, interpolation.upper()))
        assert np.array_equal(row, np.asarray(expected))
    assert np.array_equal(pixels[3], colours(48, 64, seed=3)), "an image of the right size is not touched"
    assert done == [1, 2, 3, 4, 5]
    assert [path.name for path in target.parent.iterdir()] == ["pixels.npy"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_bad_image_leaves_no_pixels_behind_but_those_of_before(tmp_path, threads):
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    for path in paths:
        Image.fromarray(colours()).save(path)
    target = tmp_path / "made/pixels.npy"
    write_pixels(target, paths[:1], (32, 32), "bilinear")
    before = target.read_bytes()
    paths[5].write_bytes(paths[5].read_bytes()[:60])
    assert str(paths[5]) in refusal(write_pixels, target, paths, (32, 32), "bilinear", threads=threads)
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == before


# Tables


HEADER = "stimulus_id,path,memorability,split_1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["cannot be read"]),
        (HEADER, ["no stimuli"]),
        ("path,memorability\na.png,0.5\n", ["no column 'stimulus_id'", "path, memorability"]),
        ("stimulus_id,memorability\n1,0.5\n", ["no column 'path'"]),
        (HEADER + "1,a.png,0.5,train\n1,b.png,0.5,train\n", ["line 3", "'1'", "unique"]),
        (HEADER + "1,a.png,0.5,train\n,b.png,0.5,train\n", ["line 3", "stimulus_id", "empty"]),
        (HEADER + "1,,0.5,train\n", ["line 2", "path is empty"]),
        (HEADER + "1,a.png,0.5,train\n2,b.png,1.01,train\n", ["line 3", "'2'", "1.01", "[-1, 1]"]),
        (HEADER + "1,a.png,-1.1,train\n", ["line 2", "-1.1", "[-1, 1]"]),
        (HEADER + "1,a.png,,train\n", ["line 2", "'1' is empty;", "[-1, 1]"]),
        (HEADER + "1,a.png,NaN,train\n", ["line 2", "'1'", "[-1, 1]"]),
        (HEADER + "1,a.png,inf,train\n", ["line 2", "'1'", "[-1, 1]"]),
        (HEADER + "1,a.png,high,train\n", ["line 2", "high", "[-1, 1]"]),
        (HEADER + "1,a.png,60,train\n2,b.png,70,train\n3,c.png,0.5,train\n", ["line 2", "60", "1 more line"]),
        (HEADER + "1,a.png,0.5,trian\n", ["line 2", "split_1 of '1' is trian;", "train, val or test"]),
        (HEADER + "1,a.png,0.5,\n", ["line 2", "split_1 of '1' is empty;", "train, val or test"]),
    ],
)
def test_bad_table_is_refused(tmp_path, text, words):
    path = tmp_path / "stimuli.csv"
    path.write_text(text)
    message = refusal(tables.read_table, path)
    assert message.startswith(f"{path}: ")
    assert all(word in message for word in words), message


def test_ids_and_paths_stay_text(tmp_path):
    ids = ["007", "NA", "null", "nan", "1e3", "True", "2.0"]
    table = pd.DataFrame({"stimulus_id": ids, "path": ids, "memorability": 0.5})
    tables.write_table(tmp_path / "stimuli.csv", table)
    read = tables.read_table(tmp_path / "stimuli.csv")
    assert list(read["stimulus_id"]) == ids
    assert list(read["path"]) == ids
    assert read["memorability"].dtype == float


@pytest.mark.parametrize("score", [2.0, -0.1])
def test_a_bad_table_is_not_written(tmp_path, score):
    table = pd.DataFrame({"stimulus_id": ["1"], "path": ["a.png"], "memorability": [score]})
    refusal(tables.write_table, tmp_path / "stimuli.csv", table)
    assert list(tmp_path.iterdir()) == []


# Splits


def split_table(*columns) -> pd.DataFrame:
    return pd.DataFrame({f"split_{k + 1}": column for k, column in enumerate(columns)})


def test_splits_are_masks_in_numeric_order():
    columns = [["train"] * 8 + ["test"] * 4 for _ in range(11)]
    for k, column in enumerate(columns):
        column[k] = "val"
    table = split_table(*columns).iloc[:, [10, *range(10)]]
    train, test, _ = memorability_splits(table, "stimuli.csv", 5)
    assert train.shape == test.shape == (11, 12)
    for k in range(11):
        assert list(np.flatnonzero(train[k])) == [i for i in range(8) if i != k]
        assert list(np.flatnonzero(test[k])) == [i for i in range(8, 12) if i != k]


def test_too_small_splits_are_refused():
    table = split_table(["train"] * 6 + ["test"] * 4, ["train"] * 5 + ["test"] * 5)
    message = refusal(memorability_splits, table, "stimuli.csv", 5)
    assert message.startswith("stimuli.csv: split_2 trains on 5 stimuli, PLS with 5 components needs more than 5")
    message = refusal(memorability_splits, split_table(["train"] * 8 + ["test"] * 2), "stimuli.csv", 5)
    assert message == "stimuli.csv: split_1 tests on 2 stimuli; a rank correlation needs at least 3"


# A person's own table


@pytest.fixture
def mine(tmp_path, study_folder):
    """mine(text, **dataset): the staged stimulus table made from a table with that text."""
    (tmp_path / "images").mkdir()
    for i in range(9):
        Image.fromarray(colours()).save(tmp_path / f"images/{i}.png")

    def stage(text, encoding="utf-8", **dataset):
        (tmp_path / "mine.csv").write_bytes(text.encode(encoding))
        return stage_source(table_source, table=tmp_path / "mine.csv", images=tmp_path / "images", **dataset)

    return stage


CSV = "path,memorability\n" + "".join(f"{i}.png,0.{i}\n" for i in range(9))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param(CSV, "utf-8", id="CSV"),
        pytest.param(CSV.replace(",", "\t"), "utf-8", id="TSV"),
        pytest.param(CSV.replace("\n", "\r\n"), "utf-8-sig", id="Excel-with-BOM"),
        pytest.param(CSV.replace(",", "\t"), "utf-8-sig", id="TSV-with-BOM"),
        pytest.param("sep=;\r\n" + CSV.replace(",", ";").replace("\n", "\r\n"), "utf-8-sig", id="Excel-with-sep"),
        pytest.param(CSV.replace(",", ', "').replace("\n", '"\n'), "utf-8", id="blank-after-separator"),
        pytest.param(CSV.replace(",", " ; "), "utf-8", id="blanks-around-separator"),
        pytest.param(CSV.replace("\n", ",\n"), "utf-8", id="comma-at-each-end"),
        pytest.param(CSV.replace("\n", ",\n").replace(",\n", "\n", 1), "utf-8", id="comma-at-each-row-s-end"),
        pytest.param(CSV.replace("\n", "\n\n") + ",,\n", "utf-8", id="empty-lines"),
        pytest.param(CSV.replace("\n", "\r"), "utf-8", id="old-Mac"),
        pytest.param("".join(f",{line}\n" for line in CSV.splitlines()).replace("\n,", "\n7,"), "utf-8", id="R"),
    ],
)
def test_own_table_is_staged(mine, tmp_path, text, encoding):
    staged = mine(text, encoding=encoding)
    assert list(staged["stimulus_id"]) == [f"{i}.png" for i in range(9)]
    assert list(staged["path"]) == [str(tmp_path / f"images/{i}.png") for i in range(9)]
    assert np.allclose(staged["memorability"], np.arange(9) / 10)
    assert tables.split_columns(staged) == [f"split_{k}" for k in range(1, 6)]


def test_own_ids_responses_and_splits_are_kept(mine):
    lines = [f"00{i},{i}.png,0.{i},80,{'train' if i < 6 else 'test'}" for i in range(9)]
    staged = mine("\n".join(["stimulus_id,path,memorability,n_responses,split_1", *lines]))
    assert list(staged["stimulus_id"]) == [f"00{i}" for i in range(9)]
    assert (staged["n_responses"] == 80).all()
    assert tables.split_columns(staged) == ["split_1"]
    assert list(staged["split_1"]) == ["train"] * 6 + ["test"] * 3


def test_scores_corrected_for_false_alarms_may_be_below_zero(mine):
    """Where it is said that they are; and they are no share of responses."""
    header = "path,memorability,n_responses\n"
    assert "must be a number in [-1, 1]" in refusal(mine, f"{header}0.png,-1.1,80\n", memorability="corrected")
    staged = mine(header + "0.png,-0.2,80\n1.png,0.0,80\n2.png,0.6,80\n", memorability="corrected")
    assert list(staged["memorability"]) == [-0.2, 0.0, 0.6]
    assert "n_responses" not in staged


def test_absolute_paths_and_names_with_spaces_and_commas(mine, tmp_path):
    named = ["a b.png", "a,b.png", "ü.png"]
    for name in named:
        Image.fromarray(colours()).save(tmp_path / "images" / name)
    lines = [f"{tmp_path}/images/0.png,0.5", *(f'"{name}",0.6' for name in named)]
    staged = mine("\n".join(["path,memorability", *lines]))
    assert list(staged["path"]) == [str(tmp_path / "images" / name) for name in ["0.png", *named]]


def test_only_the_columns_that_are_named_are_staged(mine):
    """Of rows with a comma too many at their end, a library takes the first column for their names."""
    rows = "".join(f"{i}.png,a,0.{i},0.9,\n" for i in range(9))
    staged = mine("path,image,memorability,corrected\n" + rows)
    assert list(staged["path"].str[-5:]) == [f"{i}.png" for i in range(9)]
    assert np.allclose(staged["memorability"], np.arange(9) / 10)
    assert (staged["corrected"] == 0.9).all()


def test_scores_of_splits_are_those_with_their_numbers(mine):
    rows = "".join(f"{i}.png,0.{i},0.{i}1,0.{i}2,{'train' if i < 6 else 'test'},test\n" for i in range(9))
    staged = mine("path,memorability,memorability_1,memorability_2,split_1,split_2\n" + rows)
    assert staged.loc[3, ["memorability", "memorability_1", "memorability_2"]].to_list() == [0.3, 0.31, 0.32]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,score\n0.png,0.5\n", ["no column 'memorability'", "path, score"]),
        ("path\n0.png\n1.png\n", ["no column 'memorability'", "it has path"]),
        ("path,memorability,\n0.png,0.5,0.6\n", ["line 2", "'0.6' is in column 3", "does not name"]),
        ("path,memorability\n0.png,0,5\n", ["line 2", "'5' is in column 3", "a point for the decimal comma"]),
        ("path,memorability\n\n0.png,0.5\n\nx.png,0.5\n", ["line 5", "x.png"]),
        ("sep=;\npath;memorability\n\n\n0.png;high\n", ["line 5", "of '0.png' is high;"]),
        ('path,memorability\n0.png,0.5\n"1.png,0.6\n2.png,0.7\n', ["line 3", "quotation marks"]),
        ('path,memorability,note\n0.png,0.5,"a\n1.png,0.6,b"\n', ["line 2", "not closed before line 3"]),
        ("path,memorability,memorability\n0.png,0.5,0.6\n", ["column 'memorability' is there twice"]),
        ("path,memorability,split_1,split_1\n0.png,0.5,train,test\n", ["column 'split_1' is there twice"]),
        ("path,memorability\n0.png,0.5\n./0.png,0.6\n", ["line 3", "'./0.png' is the image of line 2"]),
        ("path,memorability\n0.png,0.5\n../images/0.png,0.6\n", ["line 3", "is the image of line 2"]),
        ("path,memorability\n0.png,0.5\n1.png,0.4\n0.png,0.6\n", ["line 4", "path '0.png' is the image of line 2"]),
        ("path,memorability\n0.png,54\n1.png,61\n", ["line 2", "'0.png' is 54;", "[0, 1]: divide by 100", "1 more"]),
        ("path,memorability\n0.png,54%\n1.png,61%\n", ["line 2", "divide by 100"]),
        ("path,memorability\n0.png,0.5\n1.png,\n", ["line 3", "memorability of '1.png' is empty;"]),
        ("path,memorability\n0.png,0.5\n1.png\n", ["line 3", "memorability of '1.png' is empty;"]),
        ("path,memorability,n_responses\n0.png,0.5,forty\n", ["line 2", "n_responses of '0.png' is forty; it must"]),
        ("path,memorability,n_responses\n0.png,0.5,1.5\n", ["line 2", "n_responses of '0.png' is 1.5; it must"]),
        ("path,memorability\n0.png,0.5\n1.png,0.5\n", ["memorability of every image is 0.5"]),
        (
            "path,memorability,memorability_1,memorability_2\n0.png,3,2,4\n",
            ["memorability_1 is there without split_1", "several raters", "their mean as memorability"],
        ),
        (
            "path,memorability,memorability_1,split_1,split_2\n0.png,0.3,0.2,train,test\n",
            ["split_2 is there without memorability_2"],
        ),
        ("image,memorability\n0.png,0.5\n", ["no column 'path'"]),
        ("path,memorability\n0.png,0.5\nx.png,0.5\ny.png,0.5\n", ["line 3", "x.png", "1 more"]),
        ("path,memorability\n0.png,-0.1\n", ["line 2", "-0.1", "[0, 1]", "memorability: corrected"]),
        ("path,memorability\n,0.5\n", ["line 2", "path is empty"]),
    ],
)
def test_bad_own_table_is_refused(mine, text, words):
    message = refusal(mine, text)
    assert all(word in message for word in words), message


def test_own_table_that_is_missing_or_of_another_encoding_is_refused(mine, tmp_path):
    assert "mine.csv: cannot be read" in refusal(mine, "path,memorability\né.png,0.5\n", encoding="latin-1")
    assert "mine.csv: cannot be read as a table (no stimuli" in refusal(mine, "\n,,\n")
    assert "nowhere.csv: no such table" in refusal(stage_source, table_source, table=tmp_path / "nowhere.csv")


# Reference images


def test_images_in_a_folder_and_its_subfolders(tmp_path):
    names = ["b/2.JPEG", "a/1.png", "a/deep/3.Jpg", "4.tiff"]
    elsewhere = tmp_path.parent / f"{tmp_path.name} elsewhere"
    (tmp_path / "linked").symlink_to(elsewhere)
    for path in [*names, "a/notes.txt", "a/.5.png", ".cache/6.png", "png", elsewhere / "7.webp"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    expected = {tmp_path / name for name in [*names, "linked/7.webp"]}
    assert set(images_in_folder(tmp_path)) == expected
    assert len(images_in_folder(str(tmp_path))) == len(expected)


@pytest.mark.parametrize(
    ("links", "found"),
    [
        pytest.param({"in/a/up": "in"}, ["a/1.png", "b/2.png"], id="up"),
        pytest.param({"in/a/self": "in/a"}, ["a/1.png", "b/2.png"], id="itself"),
        pytest.param({"in/a/far": "."}, ["a/1.png", "b/2.png"], id="beyond"),
        pytest.param(
            {"in/a/to": "in/b", "in/b/to": "in/a"}, ["a/1.png", "a/to/2.png", "b/2.png", "b/to/1.png"], id="each-other"
        ),
    ],
)
def test_a_link_up_to_its_own_folder_is_not_followed(tmp_path, links, found):
    for name in ("in/a/1.png", "in/b/2.png", "3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for link, target in links.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    paths = [tmp_path / "in" / name for name in found]
    assert images_in_folder(tmp_path / "in") == paths
    also = [path for named in Images([tmp_path / "in"]).paths.values() for path in named]
    assert sorted(also) == [str(path) for path in paths]


def test_a_name_that_is_no_utf_8_is_named(tmp_path):
    """Where it is planned for too, an error would be a traceback: that is left to the job."""
    before = state.of_folder(str(tmp_path))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).touch()
    assert state.of_folder(str(tmp_path)) != before
    assert f"{tmp_path}/caf\\xe9.jpg: its name on the disk is not UTF-8; rename it" in refusal(state.files_in, tmp_path)


def test_images_of_a_table_lie_beside_it(tmp_path):
    table = pd.DataFrame({"stimulus_id": ["1", "2"], "path": ["b.png", str(tmp_path / "a.png")]})
    tables.write_table(tmp_path / "in here" / "stimuli.csv", table)
    assert images_of_table(tmp_path / "in here/stimuli.csv") == [tmp_path / "in here/b.png", tmp_path / "a.png"]


@given(n_images=st.integers(2, 300), data=st.data())
def test_references_are_evenly_spaced_in_the_order_of_their_names(n_images, data):
    """So 1,000 of ImageNet's validation images, in a folder per class, are the first of each class."""
    n = data.draw(st.integers(2, n_images))
    images = [Path(f"/images/{i:04d}.png") for i in range(n_images)]
    table = references(images[::-1], n, "images")
    tables.check_table(table, "references")
    chosen = [images.index(Path(path)) for path in table.path]
    assert len(chosen) == n
    assert chosen[0] == 0
    gaps = np.diff([*chosen, n_images])
    assert gaps.min() >= n_images // n
    assert gaps.max() <= -(-n_images // n)


def test_too_few_references_are_refused(tmp_path):
    images = [tmp_path / f"{i}.png" for i in range(9)]
    message = refusal(references, images * 2, 10, "val")
    assert message.startswith("config: reduction: pca_images: val has 9 images, pca: 10 needs as many; ")
    assert len(references(images, 9, "val")) == 9
    assert "has 0 images" in refusal(references, images_in_folder(tmp_path), 10, "val")
