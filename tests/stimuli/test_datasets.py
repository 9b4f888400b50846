"""LaMem, MemCat and FIGRIM in their published layouts: packed, served on loopback and staged; whole and broken."""

import io
import os
import re
import shutil
import tarfile
import time
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from memscore import storage
from memscore.errors import InputError
from memscore.stimuli import splits, tables
from memscore.stimuli.sources import figrim, lamem, memcat
from memscore.stimuli.sources import table as table_source


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 90)).save(file, "jpeg")
    return file.getvalue()


JPEG = jpeg()
NAMES = [f"{i:08d}.jpg" for i in range(1, 41)]


def split_files(k: int, names=NAMES) -> dict[str, str]:
    """Three files of one split, with scores of its own."""
    rng = np.random.default_rng(k)
    order = [names[i] for i in rng.permutation(len(names))]
    sides = {"train": order[:31], "val": order[31:33], "test": order[33:]}
    return {
        f"splits/{side}_{k}.txt": "".join(f"{name} {rng.uniform(0.2, 1):.6f}\n" for name in those)
        for side, those in sides.items()
    }


@pytest.fixture
def published() -> dict[str, bytes]:
    """LaMem's files by name, small."""
    texts = {name: text for k in range(1, 6) for name, text in split_files(k).items()}
    return {f"images/{name}": JPEG for name in NAMES} | {name: text.encode() for name, text in texts.items()}


@pytest.fixture(autouse=True)
def study_folder(tmp_path, monkeypatch):
    """Downloads and what is unpacked go where the study is."""
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tar(files: dict[str, bytes], **options) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", **options) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def stage(source, say=lambda message: None, **dataset) -> pd.DataFrame:
    """The staged table; where it is refused, there is none."""
    target = Path("resources/stimuli/datasets/it/stimuli.csv")
    dataset = {key: str(value) if isinstance(value, Path) else value for key, value in dataset.items()}
    shutil.rmtree(target.parent, ignore_errors=True)
    try:
        source.stage_dataset(target, dataset, 1, say)
    except InputError:
        assert not target.parent.exists() or list(target.parent.iterdir()) == []
        raise
    return tables.read_table(target)


def refusal(source, **dataset) -> str:
    with pytest.raises(InputError) as caught:
        stage(source, **dataset)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


def check_lamem(table: pd.DataFrame, files: dict[str, bytes], numbers=range(1, 6)) -> None:
    """Every line of every split file is in the table, and nothing else."""
    assert [column for column in table if column.startswith("split_")] == [f"split_{k}" for k in numbers]
    table = table.set_index("stimulus_id")
    for k in numbers:
        seen = 0
        for side in tables.SPLIT_VALUES:
            for line in files[f"splits/{side}_{k}.txt"].decode().splitlines():
                name, score = line.split(" ")
                assert table.loc[name, f"split_{k}"] == side
                assert table.loc[name, f"memorability_{k}"] == float(score)
                seen += 1
        assert seen == len(table)
    np.testing.assert_allclose(table["memorability"], table[[f"memorability_{k}" for k in numbers]].mean(axis=1))
    for name, path in table["path"].items():
        assert os.path.isabs(path)
        assert Path(path).name == name
        assert Path(path).read_bytes() == JPEG


# LaMem


@pytest.fixture
def server(serve, published):
    packed = tar(published)

    def answer(method, path, headers):
        if path != "/lamem.tar.gz":
            return 404, {}, b""
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        first = int(match[1]) if match else 0
        span = {"Content-Range": f"bytes {first}-{len(packed) - 1}/{len(packed)}"} if match else {}
        return 206 if match else 200, {"ETag": '"lamem"'} | span, packed[first:]

    return serve(answer)


def test_lamem_is_downloaded_after_a_break_and_staged(server, published):
    url, said = f"{server.url}/lamem.tar.gz", []
    server.fault = "hang up"
    assert "try again to go on from there" in refusal(lamem, url=url)
    server.fault = None
    check_lamem(stage(lamem, said.append, url=url), published)
    assert "goes on after" in said[0]
    assert said[1] == "LaMem has 40 images here, 58,741 were published"
    counts = "31 / 2 / 7 images to train, validate and test, 45,000 / 3,741 / 10,000 were published"
    assert said[2:] == [f"LaMem's split_{k} has {counts}" for k in range(1, 6)]
    check_lamem(stage(lamem, url=url), published)
    assert len(server.requests) == 2
    names = [".lamem.tar.gz.lock", "lamem.tar.gz", "lamem.tar.gz.sha256"]
    assert sorted(os.listdir("resources/downloads")) == names


def test_lamem_of_another_hash_is_refused(server):
    assert "not the file it was (SHA-256" in refusal(lamem, url=f"{server.url}/lamem.tar.gz", sha256="0" * 64)
    assert "answers 404" in refusal(lamem, url=f"{server.url}/lamen.tar.gz")
    assert not storage.unpacked().exists()


@pytest.mark.parametrize("inside", ["", "./", "lamem/"])
def test_lamem_from_an_archive(published, tmp_path, inside):
    (tmp_path / "copy.tar.gz").write_bytes(tar({inside + name: content for name, content in published.items()}))
    check_lamem(stage(lamem, archive=tmp_path / "copy.tar.gz"), published)
    [folder] = storage.unpacked().glob("[!.]*")
    assert folder.name.startswith("copy-")


@pytest.mark.parametrize("name", ["../images/1.jpg", "/images/1.jpg"])
def test_lamem_archive_that_is_not_trusted(published, tmp_path, name):
    (tmp_path / "copy.tar.gz").write_bytes(tar(published | {name: JPEG}))
    assert repr(name) in refusal(lamem, archive=tmp_path / "copy.tar.gz")
    assert [path.suffix for path in storage.unpacked().iterdir()] == [".lock"]


@pytest.mark.parametrize("inside", ["", "lamem"])
def test_lamem_where_it_is_unpacked(published, tmp_path, inside):
    write_files(tmp_path / "data" / inside, published)
    table = stage(lamem, directory=tmp_path / "data")
    check_lamem(table, published)
    assert table["path"][0] == str(tmp_path / "data" / inside / "images/00000001.jpg")
    assert [str(path) for path in Path().rglob("*") if path.is_file()] == ["resources/stimuli/datasets/it/stimuli.csv"]


def test_splits_that_are_not_complete_are_left_out(published, tmp_path):
    for name in ("splits/val_2.txt", "splits/test_4.txt", "splits/train_4.txt"):
        del published[name]
    said = []
    check_lamem(stage(lamem, said.append, directory=write_files(tmp_path / "data", published)), published, (1, 3, 5))
    assert "split 2 is left out, of its three files there is only test_2.txt, train_2.txt" in said[0]
    assert "split 4 is left out, of its three files there is only val_4.txt" in said[1]


def respelt(text: str) -> bytes:
    """By Windows: BOM, CRLF, blank lines, a tab."""
    return b"\xef\xbb\xbf\r\n" + text.replace(" ", "\t", 1).replace("\n", "\r\n\r\n").encode()


def test_untidy_split_files_are_read(published, tmp_path):
    untidy = {name: respelt(text.decode()) if name.endswith("txt") else text for name, text in published.items()}
    check_lamem(stage(lamem, directory=write_files(tmp_path / "data", untidy)), published)
    # The last line without an end.
    untidy = {name: text.rstrip(b"\n") for name, text in published.items()}
    check_lamem(stage(lamem, directory=write_files(tmp_path / "data", untidy | published)), published)


NEL = "\u0085"  # three dots in Windows' Latin-1, the end of a line in Unicode


@pytest.mark.parametrize("listed", ["utf-8", "latin-1"])
@pytest.mark.parametrize("packed", ["utf-8", "latin-1"])
def test_names_in_latin_1_with_spaces_and_upper_case(tmp_path, listed, packed):
    names = ["forêt d'été.jpg", "two  words 1.JPG", f"é{NEL}.jpg", *NAMES[:9]]
    on_disk = ["forêt d'été.JPG", "two  words 1.jpg", f"é{NEL}.jpg", *NAMES[:9]]
    files = {f"images/{name}": JPEG for name in on_disk}
    files |= {name: text.encode(listed) for name, text in split_files(1, names).items()}
    data = tar(files, encoding=packed, format=tarfile.GNU_FORMAT)
    (tmp_path / "lamem.tar.gz").write_bytes(data)
    table = stage(lamem, archive=tmp_path / "lamem.tar.gz")
    assert sorted(table["stimulus_id"]) == sorted(names)
    assert all(Path(path).is_file() for path in table["path"])
    assert dict(zip(table["stimulus_id"], table["path"], strict=True))[names[0]].endswith("/" + on_disk[0])


def test_name_on_the_disk_that_no_table_can_hold(published, tmp_path):
    write_files(tmp_path / "data", published)
    (tmp_path / "data/images/00000001.jpg").rename(os.fsdecode(os.fsencode(tmp_path / "data/images/") + b"/\xe9.jpg"))
    for path in (tmp_path / "data/splits").iterdir():
        path.write_text(path.read_text().replace("00000001.jpg", "é.jpg"))
    assert "images/é.jpg: its name on the disk is not UTF-8; rename it" in refusal(lamem, directory=tmp_path / "data")


def edited(line: int, change) -> callable:
    def edit(text: str) -> str:
        lines = text.splitlines()
        lines[line - 1] = change(lines[line - 1])
        return "\n".join(lines) + "\n"

    return edit


def scored(score: str):
    return edited(5, lambda line: f"{line.split(' ')[0]} {score}")


@pytest.mark.parametrize(
    ("file", "edit", "words"),
    [
        pytest.param("train_2", scored("0,75"), ["line 5", "0,75", "decimal comma"], id="comma"),
        pytest.param(
            "val_1", lambda text: text.replace(".", ",").replace(",jpg", ".jpg"), ["line 1", "comma"], id="all"
        ),
        pytest.param("test_3", scored("75"), ["line 5", "75", "[0, 1]"], id="percent"),
        pytest.param("test_3", scored("-0.1"), ["line 5", "-0.1"], id="negative"),
        pytest.param("test_3", scored("nan"), ["line 5", "nan"], id="nan"),
        pytest.param("train_1", scored("high"), ["line 5", "high"], id="text"),
        pytest.param(
            "train_1", edited(5, lambda line: line.split(" ")[0]), ["line 5", "a space and a score"], id="alone"
        ),
        pytest.param("train_4", scored("0.5 0.5"), ["line 5", "no image"], id="three"),
        pytest.param("train_1", edited(5, lambda line: "x.jpg 0.5"), ["line 5", "images/x.jpg"], id="missing"),
        pytest.param("test_5", lambda text: text[: text.rstrip().rindex("\n") + 1], ["not in split 5"], id="cut-off"),
    ],
)
def test_bad_line_of_a_split_is_refused(published, tmp_path, file, edit, words):
    name = f"splits/{file}.txt"
    published[name] = edit(published[name].decode()).encode()
    message = refusal(lamem, directory=write_files(tmp_path / "data", published))
    if file != "test_5":
        assert message.startswith(f"{tmp_path}/data/{name}: line ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(("side", "other"), [("test", "train"), ("train", "train"), ("val", "test")])
def test_an_image_that_is_twice_in_a_split_is_refused(published, tmp_path, side, other):
    line = published[f"splits/{other}_2.txt"].decode().splitlines()[1]
    published[f"splits/{side}_2.txt"] += f"\n{line}\n".encode()
    message = refusal(lamem, directory=write_files(tmp_path / "data", published))
    assert f"{side}_2.txt: line " in message
    assert f"{other}_2.txt: line " in message
    assert f"{line.split(' ')[0]} is also in " in message


def test_missing_images_are_named(published, tmp_path):
    write_files(tmp_path / "data", published)
    for name in NAMES[3:6]:
        (tmp_path / "data/images" / name).unlink()
    message = refusal(lamem, directory=tmp_path / "data")
    line = message.partition("line ")[2].partition(":")[0]
    file = Path(message.partition(": line")[0])
    assert file.read_text().splitlines()[int(line) - 1].startswith(NAMES[3])
    assert f"no image {tmp_path}/data/images/{NAMES[3]} (and 2 more)" in message


def test_folders_that_are_not_lamem(published, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: holds no folder splits" in refusal(lamem, directory=tmp_path / "empty")
    (tmp_path / "empty/splits").mkdir()
    assert "splits: no split has all of train_1.txt" in refusal(lamem, directory=tmp_path / "empty")
    write_files(tmp_path / "none", {name: text for name, text in published.items() if name.endswith("txt")})
    assert "no image" in refusal(lamem, directory=tmp_path / "none")


@pytest.mark.real_data
@pytest.mark.slow
def test_published_lamem_splits_at_full_size(real_data, tmp_path):
    """Real names and scores; the images are stand-ins, in which nobody looks."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "splits").symlink_to(real_data / "lamem/splits")
    texts = {f"splits/{path.name}": path.read_bytes() for path in (real_data / "lamem/splits").glob("*.txt")}
    names = {line.split()[0] for text in texts.values() for line in text.decode().splitlines()}
    (folder / "stand-in").write_bytes(JPEG)
    for i, name in enumerate(sorted(names)):
        # A file can have some 65,000 names on ext4, and fewer elsewhere.
        if i % 1000 == 0:
            (folder / f"stand-in {i}").write_bytes(JPEG)
            original = folder / f"stand-in {i}"
        os.link(original, folder / "images" / name)
    said, start = [], time.monotonic()
    table = stage(lamem, said.append, directory=folder)
    seconds = time.monotonic() - start
    print(f"staged in {seconds:.1f} s")
    assert seconds < 60
    assert said == []
    assert len(table) == 58_741
    for k in (1, 2):
        assert table[f"split_{k}"].value_counts().to_dict() == {"train": 45_000, "val": 3_741, "test": 10_000}
    check_lamem(table, texts, (1, 2))
    assert (table["memorability_1"] != table["memorability_2"]).sum() == 57_926
    scores = splits.memorability_scores(table)
    assert scores.shape == (2, 58_741)
    np.testing.assert_array_equal(scores, table[["memorability_1", "memorability_2"]].to_numpy().T)


# MemCat

HEADER = (
    '"","image_file","category","subcategory","current_height","current_width","source","searched_label",'
    '"resize_factor","H","FA","n_resp","memorability_wo_fa_correction","memorability_w_fa_correction"\n'
)
CATEGORIES = ("animal", "food", "landscape", "sports", "vehicle")


def memcat_rows() -> list[tuple[str, str, str, int, int, int]]:
    """(file, category, subcategory, H, FA, n_resp)."""
    rng = np.random.default_rng(0)
    rows = [("000000003481.jpg", "animal", "bear", 55, 4, 98)]
    for category in CATEGORIES:
        for i in range(20):
            answers = int(rng.integers(90, 110))
            hits = int(rng.integers(answers // 2, answers))
            rows.append((f"{category} {i}é.JPG", category, f"sub {i % 3}", hits, int(rng.integers(0, 9)), answers))
    return rows


def memcat_csv(rows) -> str:
    lines = [
        f'"{i}","{name}","{category}","{sub}",316,500,"coco","{sub}",1,{h},{fa},{n},{h / n},{(h - fa) / n}\n'
        for i, (name, category, sub, h, fa, n) in enumerate(rows, start=1)
    ]
    return HEADER + "".join(lines)


@pytest.fixture
def memcat_files() -> dict[str, bytes]:
    rows = memcat_rows()
    images = {f"MemCat/{category}/{sub}/{name}": JPEG for name, category, sub, *_ in rows}
    return images | {"memcat_image_data.csv": memcat_csv(rows).encode()}


def check_memcat(table: pd.DataFrame, corrected=False) -> None:
    rows = memcat_rows()
    assert list(table["stimulus_id"]) == [row[0] for row in rows]
    for (_, row), (name, category, sub, hits, false_alarms, answers) in zip(table.iterrows(), rows, strict=True):
        assert row["path"].endswith(f"/{category}/{sub}/{name}")
        assert Path(row["path"]).read_bytes() == JPEG
        assert row["memorability"] == pytest.approx((hits - corrected * false_alarms) / answers, abs=1e-12)
        assert (row["category"], row["subcategory"]) == (category, sub)
        assert corrected or row["n_responses"] == answers
    assert ("n_responses" in table) != corrected
    assert tables.split_columns(table) == [f"split_{k}" for k in range(1, 6)]
    assert table["split_1"].value_counts().to_dict() == {"train": 77, "test": 18, "val": 6}


def test_memcat_where_it_is_unpacked(memcat_files, tmp_path):
    folder = write_files(tmp_path / "data", memcat_files | {"MemCat/animal/sub 0/._animal 0é.JPG": b"a Mac's"})
    check_memcat(stage(memcat, directory=folder))
    check_memcat(stage(memcat, directory=folder, memorability="corrected"), corrected=True)
    check_memcat(stage(memcat, directory=folder, memorability="uncorrected"))


def test_memcat_with_more_false_alarms_than_hits(memcat_files, tmp_path):
    rows = memcat_rows()
    rows[5] = (*rows[5][:3], 4, 9, 100)
    folder = write_files(tmp_path / "data", memcat_files | {"memcat_image_data.csv": memcat_csv(rows).encode()})
    table = stage(memcat, directory=folder, memorability="corrected")
    assert table["memorability"][5] == pytest.approx(-0.05)


def test_memcat_from_archives(memcat_files, tmp_path):
    """One zip of the table, one of images; and the table beside a zip of images."""
    for name, wanted in {"images.zip": "MemCat/", "data.zip": "memcat_image"}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file, content in memcat_files.items():
                if file.startswith(wanted):
                    archive.writestr(file, content)
    check_memcat(stage(memcat, archive=[str(tmp_path / "images.zip"), str(tmp_path / "data.zip")]))
    write_files(tmp_path, {"memcat_image_data.csv": memcat_files["memcat_image_data.csv"]})
    check_memcat(stage(memcat, archive=tmp_path / "images.zip", table=tmp_path / "memcat_image_data.csv"))
    message = refusal(memcat, archive=tmp_path / "images.zip")
    assert "holds no memcat_image_data.csv" in message
    assert "datasets: table" in message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_memcat_table_that_excel_saved(memcat_files, tmp_path, encoding, newline):
    text = memcat_files["memcat_image_data.csv"].decode().replace("\n", newline)
    memcat_files["memcat_image_data.csv"] = text.encode(encoding)
    check_memcat(stage(memcat, directory=write_files(tmp_path / "data", memcat_files)))


def test_memcat_splits_alike_in_categories(memcat_files, tmp_path):
    table = stage(memcat, directory=write_files(tmp_path / "data", memcat_files), stratify="category", n_splits=3)
    assert tables.split_columns(table) == ["split_1", "split_2", "split_3"]
    for k in (1, 2, 3):
        tested = table[table[f"split_{k}"] == "test"]["category"].value_counts()
        assert set(tested.index) == set(CATEGORIES)
        assert tested.max() - tested.min() <= 2
    message = refusal(memcat, directory=tmp_path / "data", stratify="size")
    assert "no column 'size'; it has stimulus_id, path" in message


def test_same_name_in_two_folders(memcat_files, tmp_path):
    """The table says in which it is; where that is in another layout, nothing does."""
    folder = write_files(tmp_path / "data", memcat_files | {"MemCat/food/sub 9/animal 0é.JPG": b"another"})
    check_memcat(stage(memcat, directory=folder))
    (folder / "MemCat/animal/sub 0").rename(folder / "MemCat/animal/sub0")
    message = refusal(memcat, directory=folder)
    assert "animal 0é.JPG: is also " in message


def test_memcat_that_is_not_whole(memcat_files, tmp_path):
    folder = write_files(tmp_path / "data", memcat_files)
    (folder / "MemCat/animal/bear/000000003481.jpg").unlink()
    message = refusal(memcat, directory=folder)
    words = f"memcat_image_data.csv: line 2: no image animal/bear/000000003481.jpg in {folder}; add what is missing"
    assert words in message
    (folder / "memcat_image_data.csv").write_text(HEADER.replace("n_resp", "n") + "\n")
    assert "no column 'n_resp'" in refusal(memcat, directory=folder)


# FIGRIM


@pytest.fixture
def targets(tmp_path):
    images = [f"Targets/{scene}/sun {i}.JPG" for scene in ("airport_terminal", "badlands") for i in range(12)]
    return write_files(tmp_path / "figrim", dict.fromkeys(images, JPEG))


@pytest.mark.parametrize("columns", ["hits", "hit_rate"])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_figrim(targets, tmp_path, columns, separator):
    lines = [["category", "filename", *(["hits", "misses"] if columns == "hits" else ["hit_rate"])]]
    for i in range(24):
        score = [str(40 + i), str(40 - i)] if columns == "hits" else [str((40 + i) / 80)]
        lines.append([("airport_terminal", "badlands")[i // 12], f"sun {i % 12}.jpg", *score])
    (tmp_path / "scores.csv").write_text("\n".join(separator.join(line) for line in lines))
    table = stage(figrim, table=tmp_path / "scores.csv", directory=targets, stratify="category")
    assert list(table["stimulus_id"][:2]) == ["airport_terminal/sun 0.jpg", "airport_terminal/sun 1.jpg"]
    assert table["path"][12] == str(targets / "Targets/badlands/sun 0.JPG")
    np.testing.assert_allclose(table["memorability"], (40 + np.arange(24)) / 80)
    assert ("n_responses" in table) == (columns == "hits")
    assert (table.get("n_responses", pd.Series(80)) == 80).all()
    assert tables.split_columns(table) == [f"split_{k}" for k in range(1, 6)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,hit_rate\nsun 0.JPG,0.5\n", ["no column 'filename'", "image, hit_rate"]),
        ("filename,hits\nsun 0.JPG,5\n", ["no column 'hit_rate'"]),
        ("filename,category,hit_rate\nsun 99.jpg,badlands,0.5\n", ["line 2", "no image badlands/sun 99.jpg"]),
        ("filename,hit_rate\nsun 0.jpg,0.5\n", ["sun 0.JPG: is also", "which one sun 0.jpg is"]),
        ("filename,category,hits,misses\nsun 0.jpg,badlands,-1,3\n", ["line 2", "hits is -1"]),
        ("filename,category,hits,misses\nsun 0.jpg,badlands,0,0\n", ["line 2", "[0, 1]"]),
        ("filename;category;hit_rate\nsun 0.jpg;badlands;0,5\n", ["line 2", "0,5", "decimal comma"]),
    ],
)
def test_bad_figrim_table_is_refused(targets, tmp_path, text, words):
    (tmp_path / "scores.csv").write_text(text)
    message = refusal(figrim, table=tmp_path / "scores.csv", directory=targets)
    for word in words:
        assert word in message


# A person's own table


def test_own_table_by_kind_or_video_and_with_a_decimal_comma(tmp_path):
    write_files(tmp_path, {f"{i}.png": b"never opened" for i in range(60)})
    lines = [f"{i}.png;0.{10 + i};{'ab'[i % 2]};{i // 4}" for i in range(60)]
    (tmp_path / "mine.csv").write_text("\n".join(["path;memorability;kind;video", *lines]))
    table = stage(table_source, table=tmp_path / "mine.csv", group="video")
    assert (table.groupby("video")[tables.split_columns(table)].nunique() == 1).all(axis=None)
    table = stage(table_source, table=tmp_path / "mine.csv", stratify="kind")
    for k in range(1, 6):
        tested = table[table[f"split_{k}"] == "test"]["kind"].value_counts()
        assert tested.to_dict() in ({"a": 5, "b": 5}, {"a": 4, "b": 6}, {"a": 6, "b": 4})
    assert "no column 'sort'; it has stimulus_id, path" in refusal(
        table_source, table=tmp_path / "mine.csv", group="sort"
    )
    text = (tmp_path / "mine.csv").read_text()
    (tmp_path / "mine.csv").write_text(text.replace(";a;1\n", ";a;\n", 1))
    message = refusal(table_source, table=tmp_path / "mine.csv", group="video")
    assert "line 6: video is empty, and group needs it; fill it in" in message
    table.assign(path=[f"{i}.png" for i in range(60)]).to_csv(tmp_path / "split.csv", index=False)
    message = refusal(table_source, table=tmp_path / "split.csv", group="video")
    assert "has split columns of its own, and group makes others; remove one" in message
    (tmp_path / "mine.csv").write_text("path;memorability\n0.png;0.5\n1.png;0,7\n")
    message = refusal(table_source, table=tmp_path / "mine.csv")
    assert "line 3" in message
    assert "a point for the decimal comma" in message


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_may_be_composed_otherwise_on_the_disk(tmp_path, written, on_disk):
    """A table from one system, files from another (macOS takes accents apart)."""
    names = [f"été {i}/élan {i}.JPG" for i in range(6)]
    write_files(tmp_path, {unicodedata.normalize(on_disk, name): b"never opened" for name in names})
    lines = [f"{unicodedata.normalize(written, name)},0.{i}" for i, name in enumerate(names)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,memorability", *lines]))
    table = stage(table_source, table=tmp_path / "mine.csv")
    assert list(table["path"]) == [str(tmp_path / unicodedata.normalize(on_disk, name)) for name in names]
    assert list(table["stimulus_id"]) == [unicodedata.normalize(written, name) for name in names]


def test_a_name_that_means_two_files_is_refused(tmp_path):
    names = ["é.JPG", unicodedata.normalize("NFD", "é.Jpg")]
    write_files(tmp_path, dict.fromkeys([*names, "a.jpg"], b"never opened"))
    (tmp_path / "mine.csv").write_text("path,memorability\na.jpg,0.1\né.jpg,0.2\n")
    assert "which one é.jpg is, nothing says: remove one" in refusal(table_source, table=tmp_path / "mine.csv")
    (tmp_path / "mine.csv").write_text("path,memorability\na.jpg,0.1\né.JPG,0.2\n")
    assert stage(table_source, table=tmp_path / "mine.csv")["path"][1] == str(tmp_path / "é.JPG")


def test_columns_may_have_capitals_and_spaces_around(tmp_path):
    write_files(tmp_path, {f"{i:03d}.png": b"never opened" for i in range(30)})
    lines = [f"{i:03d}.png,{i:03d},0.{10 + i},{'' if i else 80},{i // 3}" for i in range(30)]
    header = " Path, Stimulus_ID,MEMORABILITY ,N_responses, Video "
    (tmp_path / "mine.csv").write_text("\n".join([header, *lines]))
    table = stage(table_source, table=tmp_path / "mine.csv", group="Video")
    assert list(table)[:5] == ["path", "stimulus_id", "memorability", "n_responses", "Video"]
    assert table["stimulus_id"][7] == "007"
    assert table["n_responses"].isna().sum() == 29
    (tmp_path / "mine.csv").write_text("path,memorability,Memorability\n000.png,0.1,0.2\n")
    assert "column 'memorability' is there twice" in refusal(table_source, table=tmp_path / "mine.csv")


@pytest.mark.slow
def test_sixty_thousand_images_are_staged_in_a_minute(tmp_path):
    """Without reading pixels: there are none."""
    for folder in range(60):
        (tmp_path / f"images/{folder:02d}").mkdir(parents=True)
        for i in range(1000):
            (tmp_path / f"images/{folder:02d}/{i:03d}.jpg").touch()
    paths = [f"{folder:02d}/{i:03d}.jpg" for folder in range(60) for i in range(1000)]
    scores = np.random.default_rng(0).random(60_000)
    pd.DataFrame({"path": paths, "memorability": scores}).to_csv(tmp_path / "mine.csv", index=False)
    start = time.monotonic()
    table = stage(table_source, table=tmp_path / "mine.csv", images=tmp_path / "images")
    seconds = time.monotonic() - start
    print(f"staged and read again in {seconds:.1f} s")
    assert seconds < 60
    assert len(table) == 60_000
    for side, expected in zip(tables.SPLIT_VALUES, (45_964, 3_821, 10_214), strict=True):
        assert abs((table["split_1"] == side).sum() - expected) <= 1
        assert abs(table["memorability"][table["split_1"] == side].mean() - scores.mean()) < 0.003


def test_splits_predict_their_own_scores():
    table = pd.DataFrame({"memorability": [0.5, 0.6], "memorability_2": [0.1, 0.2]})
    table = table.assign(split_1=["train", "test"], split_2=["test", "train"])
    np.testing.assert_array_equal(splits.memorability_scores(table), [[0.5, 0.6], [0.1, 0.2]])
