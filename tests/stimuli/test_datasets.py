"""LaMem, MemCat and FIGRIM in their published layouts: packed, served on loopback and staged; whole and broken."""

import io
import os
import tarfile
import time
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from staged import JPEG, refusal, resumable, stage, write_files

from memscore import storage
from memscore.stimuli import splits, tables
from memscore.stimuli.sources import figrim, lamem, memcat
from memscore.stimuli.sources import table as table_source

pytestmark = pytest.mark.usefixtures("study_folder")

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


def tar(files: dict[str, bytes], **options) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", **options) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def check_lamem(table: pd.DataFrame, files: dict[str, bytes], numbers=range(1, 6)) -> None:
    """Every line of every split file is in the table, and nothing else."""
    assert tables.split_columns(table) == [f"split_{k}" for k in numbers]
    rows = table.set_index("stimulus_id").to_dict("index")
    for k in numbers:
        lines = {side: files[f"splits/{side}_{k}.txt"].decode().splitlines() for side in tables.SPLIT_VALUES}
        pairs = [(side, *line.split(" ")) for side in lines for line in lines[side]]
        assert len(pairs) == len(rows)
        for side, name, score in pairs:
            assert (rows[name][f"split_{k}"], rows[name][f"memorability_{k}"]) == (side, float(score))
    np.testing.assert_allclose(table["memorability"], table[[f"memorability_{k}" for k in numbers]].mean(axis=1))
    for name, row in rows.items():
        assert os.path.isabs(row["path"])
        assert os.path.basename(row["path"]) == name
        assert os.path.isfile(row["path"])


# LaMem


def test_lamem_is_downloaded_after_a_break_and_staged(serve, published):
    server = serve(resumable("/lamem.tar.gz", tar(published)))
    url, said = f"{server.url}/lamem.tar.gz", []
    assert "not the file it was (SHA-256" in refusal(stage, lamem, url=url, sha256="0" * 64)
    server.fault = "hang up"
    assert "try again to go on from there" in refusal(stage, lamem, url=url)
    server.fault = None
    check_lamem(stage(lamem, said.append, url=url), published)
    assert "goes on after" in said[0]
    assert said[1] == "LaMem has 40 images here, 58,741 were published"
    counts = "31 / 2 / 7 images to train, validate and test, 45,000 / 3,741 / 10,000 were published"
    assert said[2:] == [f"LaMem's split_{k} has {counts}" for k in range(1, 6)]
    check_lamem(stage(lamem, url=url), published)
    assert len(server.requests) == 3
    names = [".lamem.tar.gz.lock", "lamem.tar.gz", "lamem.tar.gz.sha256"]
    assert sorted(os.listdir("resources/downloads")) == names


def test_lamem_from_an_archive(published, tmp_path):
    (tmp_path / "copy.tar.gz").write_bytes(tar({f"./lamem/{name}": content for name, content in published.items()}))
    check_lamem(stage(lamem, archive=tmp_path / "copy.tar.gz"), published)
    [folder] = storage.unpacked().glob("[!.]*")
    assert folder.name.startswith("copy-")


def test_lamem_where_it_is_unpacked(published, tmp_path):
    write_files(tmp_path / "data/lamem", published)
    table = stage(lamem, directory=tmp_path / "data")
    check_lamem(table, published)
    assert table["path"][0] == str(tmp_path / "data/lamem/images/00000001.jpg")
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["stimuli.csv"]


def test_splits_that_are_not_complete_are_left_out(published, tmp_path):
    for name in ("splits/val_2.txt", "splits/test_4.txt", "splits/train_4.txt"):
        del published[name]
    said = []
    check_lamem(stage(lamem, said.append, directory=write_files(tmp_path / "data", published)), published, (1, 3, 5))
    assert "split 2 is left out, of its three files there is only test_2.txt, train_2.txt" in said[0]
    assert "split 4 is left out, of its three files there is only val_4.txt" in said[1]


def respelt(text: str) -> bytes:
    """By Windows: BOM, CRLF, blank lines, a tab; the last line without an end."""
    return b"\xef\xbb\xbf\r\n" + text.strip().replace(" ", "\t", 1).replace("\n", "\r\n\r\n").encode()


def test_untidy_split_files_are_read(published, tmp_path):
    untidy = {name: respelt(text.decode()) if name.endswith("txt") else text for name, text in published.items()}
    check_lamem(stage(lamem, directory=write_files(tmp_path / "data", untidy)), published)


NEL = "\u0085"  # three dots in Windows' Latin-1, the end of a line in Unicode


@pytest.mark.parametrize(("listed", "packed"), [("utf-8", "latin-1"), ("latin-1", "utf-8")])
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
    message = refusal(stage, lamem, directory=tmp_path / "data")
    assert "images/é.jpg: its name on the disk is not UTF-8; rename it" in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{name} 0,75", ["0,75", "decimal comma"]),
        ("{name} 75", ["75", "[0, 1]"]),
        ("{name} -0.1", ["-0.1"]),
        ("{name} nan", ["nan"]),
        ("{name} high", ["high"]),
        ("{name}", ["a space and a score"]),
        ("{name} 0.5 0.5", ["no image"]),
        ("x.jpg 0.5", ["images/x.jpg"]),
    ],
)
def test_bad_line_of_a_split_is_refused(published, tmp_path, line, words):
    path = write_files(tmp_path / "data", published) / "splits/train_2.txt"
    lines = path.read_text().splitlines()
    lines[4] = line.format(name=lines[4].split(" ")[0])
    path.write_text("\n".join(lines))
    message = refusal(stage, lamem, directory=tmp_path / "data")
    assert message.startswith(f"{path}: line 5: ")
    assert all(word in message for word in words), message


def test_an_image_that_is_not_in_every_split_is_refused(published, tmp_path):
    path = write_files(tmp_path / "data", published) / "splits/test_5.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    assert "is not in split 5" in refusal(stage, lamem, directory=tmp_path / "data")


@pytest.mark.parametrize(("side", "other"), [("test", "train"), ("train", "train"), ("val", "test")])
def test_an_image_that_is_twice_in_a_split_is_refused(published, tmp_path, side, other):
    line = published[f"splits/{other}_2.txt"].decode().splitlines()[1]
    published[f"splits/{side}_2.txt"] += f"\n{line}\n".encode()
    message = refusal(stage, lamem, directory=write_files(tmp_path / "data", published))
    assert f"{side}_2.txt: line " in message
    assert f"{other}_2.txt: line " in message
    assert f"{line.split(' ')[0]} is also in " in message


def test_missing_images_are_named(published, tmp_path):
    write_files(tmp_path / "data", published)
    for name in NAMES[3:6]:
        (tmp_path / "data/images" / name).unlink()
    message = refusal(stage, lamem, directory=tmp_path / "data")
    line = message.partition("line ")[2].partition(":")[0]
    file = Path(message.partition(": line")[0])
    assert file.read_text().splitlines()[int(line) - 1].startswith(NAMES[3])
    assert f"no image {tmp_path}/data/images/{NAMES[3]} (and 2 more)" in message


def test_folders_that_are_not_lamem(published, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: holds no folder splits" in refusal(stage, lamem, directory=tmp_path / "empty")
    (tmp_path / "empty/splits").mkdir()
    assert "splits: no split has all of train_1.txt" in refusal(stage, lamem, directory=tmp_path / "empty")


def make_stand_ins(paths: list[Path]) -> None:
    """Images in which nobody looks: links, of which a file can have some 65,000 on ext4, and fewer elsewhere."""
    for i, path in enumerate(paths):
        if i % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(JPEG)
        else:
            os.link(paths[i // 1000 * 1000], path)


@pytest.mark.real_data
@pytest.mark.slow
def test_published_lamem_splits_at_full_size(real_data, tmp_path):
    """Real names and scores; the images are stand-ins."""
    folder = tmp_path / "data"
    texts = {f"splits/{path.name}": path.read_bytes() for path in (real_data / "lamem/splits").glob("*.txt")}
    names = {line.split()[0] for text in texts.values() for line in text.decode().splitlines()}
    make_stand_ins([folder / "images" / name for name in sorted(names)])
    (folder / "splits").symlink_to(real_data / "lamem/splits")
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


# MemCat

HEADER = (
    '"","image_file","category","subcategory","current_height","current_width","source","searched_label",'
    '"resize_factor","H","FA","n_resp","memorability_wo_fa_correction","memorability_w_fa_correction"\n'
)
CATEGORIES = ("animal", "food", "landscape", "sports", "vehicle")


def memcat_rows() -> list[tuple[str, str, str, int, int, int]]:
    """(file, category, subcategory, H, FA, n_resp)."""
    rng = np.random.default_rng(0)
    rows = [("000000003481.jpg", "animal", "bear", 4, 9, 98)]  # corrected, its score is below zero
    for category in CATEGORIES:
        for i in range(20):
            answers = int(rng.integers(90, 110))
            hits = int(rng.integers(answers // 2, answers))
            rows.append((f"{category} {i}é.JPG", category, f"sub {i % 3}", hits, int(rng.integers(0, 9)), answers))
    return rows


@pytest.fixture
def memcat_files() -> dict[str, bytes]:
    table, files = HEADER, {}
    for i, (name, category, sub, h, fa, n) in enumerate(memcat_rows(), start=1):
        table += f'"{i}","{name}","{category}","{sub}",316,500,"coco","{sub}",1,{h},{fa},{n},{h / n},{(h - fa) / n}\n'
        files[f"MemCat/{category}/{sub}/{name}"] = JPEG
    return files | {"memcat_image_data.csv": table.encode()}


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
    assert table["split_1"].value_counts().to_dict() == dict(zip(tables.SPLIT_VALUES, splits.sizes(101), strict=True))


def test_memcat_where_it_is_unpacked(memcat_files, tmp_path):
    folder = write_files(tmp_path / "data", memcat_files | {"MemCat/animal/sub 0/._animal 0é.JPG": b"a Mac's"})
    check_memcat(stage(memcat, directory=folder))
    check_memcat(stage(memcat, directory=folder, memorability="corrected"), corrected=True)
    check_memcat(stage(memcat, directory=folder, memorability="uncorrected"))
    table = stage(memcat, directory=folder, stratify="category", n_splits=3)
    assert tables.split_columns(table) == ["split_1", "split_2", "split_3"]
    for k in (1, 2, 3):
        tested = table[table[f"split_{k}"] == "test"]["category"].value_counts()
        assert set(tested.index) == set(CATEGORIES)
        assert tested.max() - tested.min() <= 2


def test_memcat_from_archives(memcat_files, tmp_path):
    """One zip of the table, one of images; and the table beside a zip of images."""
    for name, wanted in {"images.zip": "MemCat/", "data.zip": "memcat_image"}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file, content in memcat_files.items():
                if file.startswith(wanted):
                    archive.writestr(file, content)
    check_memcat(stage(memcat, archive=[str(tmp_path / "images.zip"), str(tmp_path / "data.zip")]))
    (tmp_path / "memcat_image_data.csv").write_bytes(memcat_files["memcat_image_data.csv"])
    check_memcat(stage(memcat, archive=tmp_path / "images.zip", table=tmp_path / "memcat_image_data.csv"))
    message = refusal(stage, memcat, archive=tmp_path / "images.zip")
    assert "holds no memcat_image_data.csv" in message
    assert "datasets: table" in message


@pytest.mark.parametrize(("encoding", "newline"), [("utf-8-sig", "\r\n"), ("latin-1", "\n")])
def test_memcat_table_that_excel_saved(memcat_files, tmp_path, encoding, newline):
    text = memcat_files["memcat_image_data.csv"].decode().replace("\n", newline)
    memcat_files["memcat_image_data.csv"] = text.encode(encoding)
    check_memcat(stage(memcat, directory=write_files(tmp_path / "data", memcat_files)))


def test_same_name_in_two_folders(memcat_files, tmp_path):
    """The table says in which it is; where that is in another layout, nothing does."""
    folder = write_files(tmp_path / "data", memcat_files | {"MemCat/food/sub 9/animal 0é.JPG": b"another"})
    check_memcat(stage(memcat, directory=folder))
    (folder / "MemCat/animal/sub 0").rename(folder / "MemCat/animal/sub0")
    assert "animal 0é.JPG: is also " in refusal(stage, memcat, directory=folder)


def test_memcat_that_is_not_whole(memcat_files, tmp_path):
    folder = write_files(tmp_path / "data", memcat_files)
    (folder / "MemCat/animal/bear/000000003481.jpg").unlink()
    (folder / "memcat_image_data.csv").write_bytes(memcat_files["memcat_image_data.csv"].replace(b"\n", b"\n\n", 1))
    words = f"memcat_image_data.csv: line 3: no image animal/bear/000000003481.jpg in {folder}; add what is missing"
    assert words in refusal(stage, memcat, directory=folder)
    (folder / "memcat_image_data.csv").write_text(HEADER.replace("n_resp", "n") + "\n")
    assert "no column 'n_resp'" in refusal(stage, memcat, directory=folder)


# FIGRIM


@pytest.fixture
def targets(tmp_path):
    images = [f"Targets/{scene}/sun {i}.JPG" for scene in ("airport_terminal", "badlands") for i in range(12)]
    return write_files(tmp_path / "figrim", dict.fromkeys(images, JPEG))


@pytest.mark.parametrize("columns", ["hits,misses", "hit_rate"])
def test_figrim(targets, tmp_path, columns):
    lines = [f"category,filename,{columns}"]
    for i in range(24):
        score = f"{40 + i},{40 - i}" if columns == "hits,misses" else f"{(40 + i) / 80}"
        lines.append(f"{('airport_terminal', 'badlands')[i // 12]},sun {i % 12}.jpg,{score}")
    (tmp_path / "scores.csv").write_text("\n".join(lines))
    table = stage(figrim, table=tmp_path / "scores.csv", directory=targets, stratify="category")
    assert list(table["stimulus_id"][:2]) == ["airport_terminal/sun 0.jpg", "airport_terminal/sun 1.jpg"]
    assert table["path"][12] == str(targets / "Targets/badlands/sun 0.JPG")
    np.testing.assert_allclose(table["memorability"], (40 + np.arange(24)) / 80)
    assert ("n_responses" in table) == (columns == "hits,misses")
    assert (table.get("n_responses", pd.Series(80)) == 80).all()
    assert tables.split_columns(table) == [f"split_{k}" for k in range(1, 6)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,hit_rate\nsun 0.JPG,0.5\n", ["no column 'filename'", "image, hit_rate"]),
        ("filename,hits\nsun 0.JPG,5\n", ["no column 'hit_rate'"]),
        ("filename,category,hit_rate\nsun 99.jpg,badlands,0.5\n", ["line 2", "no image badlands/sun 99.jpg"]),
        ("filename,hit_rate\nsun 0.jpg,0.5\n", ["sun 0.JPG: is also", "which one sun 0.jpg is"]),
        ("filename,category,hits,misses\n\nsun 0.jpg,badlands,-1,3\n", ["line 3", "hits is -1"]),
        ("filename,category,hits,misses\nsun 0.jpg,badlands,0,0\n", ["line 2", "[0, 1]"]),
    ],
)
def test_bad_figrim_table_is_refused(targets, tmp_path, text, words):
    (tmp_path / "scores.csv").write_text(text)
    message = refusal(stage, figrim, table=tmp_path / "scores.csv", directory=targets)
    assert all(word in message for word in words), message


# A person's own table


def own(folder: Path, *lines: str, **dataset) -> pd.DataFrame:
    """The staged table of one with these lines."""
    (folder / "mine.csv").write_text("\n".join(lines))
    return stage(table_source, table=folder / "mine.csv", **dataset)


def test_own_table_by_kind_or_video_and_with_a_decimal_comma(tmp_path):
    write_files(tmp_path, {f"{i}.png": b"never opened" for i in range(60)})
    lines = ["path;memorability;kind;video", *(f"{i}.png;0.{10 + i};{'ab'[i % 2]};{i // 4}" for i in range(60))]
    table = own(tmp_path, *lines, group="video")
    assert (table.groupby("video")[tables.split_columns(table)].nunique() == 1).all(axis=None)
    table = own(tmp_path, *lines, stratify="kind")
    for k in range(1, 6):
        tested = table[table[f"split_{k}"] == "test"]["kind"].value_counts()
        assert tested.to_dict() in ({"a": 5, "b": 5}, {"a": 4, "b": 6}, {"a": 6, "b": 4})
    message = refusal(own, tmp_path, *lines, group="sort")
    assert "no column 'sort'; it has path, memorability" in message
    message = refusal(own, tmp_path, *lines[:5], "4.png;0.14;a;", group="video")
    assert "line 6: video is empty, and group needs it; fill it in" in message
    message = refusal(own, tmp_path, "path;memorability;video;split_1", "0.png;0.5;a;train", group="video")
    assert "has split columns of its own, and group makes others; remove one" in message
    message = refusal(own, tmp_path, "path;memorability", "0.png;0.5", "1.png;0,7")
    assert "line 3" in message
    assert "a point for the decimal comma" in message


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_may_be_composed_otherwise_on_the_disk(tmp_path, written, on_disk):
    """A table from one system, files from another (macOS takes accents apart)."""
    names = [f"été {i}/élan {i}.JPG" for i in range(6)]
    write_files(tmp_path, {unicodedata.normalize(on_disk, name): b"never opened" for name in names})
    lines = [f"{unicodedata.normalize(written, name)},0.{i}" for i, name in enumerate(names)]
    table = own(tmp_path, "path,memorability", *lines)
    assert list(table["path"]) == [str(tmp_path / unicodedata.normalize(on_disk, name)) for name in names]
    assert list(table["stimulus_id"]) == [unicodedata.normalize(written, name) for name in names]


def test_a_name_that_means_two_files_is_refused(tmp_path):
    names = ["é.JPG", unicodedata.normalize("NFD", "é.Jpg")]
    write_files(tmp_path, dict.fromkeys([*names, "a.jpg"], b"never opened"))
    message = refusal(own, tmp_path, "path,memorability", "a.jpg,0.1", "é.jpg,0.2")
    assert "which one é.jpg is, nothing says: remove one" in message
    assert own(tmp_path, "path,memorability", "a.jpg,0.1", "é.JPG,0.2")["path"][1] == str(tmp_path / "é.JPG")


def test_columns_may_have_capitals_and_spaces_around(tmp_path):
    write_files(tmp_path, {f"{i:03d}.png": b"never opened" for i in range(30)})
    lines = [f"{i:03d}.png,{i:03d},0.{10 + i},{'' if i else 80},{i // 3}" for i in range(30)]
    table = own(tmp_path, " Path, Stimulus_ID,MEMORABILITY ,N_responses, Video ", *lines, group="Video")
    assert list(table)[:5] == ["path", "stimulus_id", "memorability", "n_responses", "Video"]
    assert table["stimulus_id"][7] == "007"
    assert table["n_responses"].isna().sum() == 29
    message = refusal(own, tmp_path, "path,memorability,Memorability", "000.png,0.1,0.2")
    assert "column 'memorability' is there twice" in message


@pytest.mark.slow
def test_sixty_thousand_images_are_staged_in_a_minute(tmp_path):
    """Without reading pixels."""
    paths = [f"{folder:02d}/{i:03d}.jpg" for folder in range(60) for i in range(1000)]
    make_stand_ins([tmp_path / "images" / path for path in paths])
    scores = np.random.default_rng(0).random(60_000)
    pd.DataFrame({"path": paths, "memorability": scores}).to_csv(tmp_path / "mine.csv", index=False)
    start = time.monotonic()
    table = stage(table_source, table=tmp_path / "mine.csv", images=tmp_path / "images")
    seconds = time.monotonic() - start
    print(f"staged and read again in {seconds:.1f} s")
    assert seconds < 60
    assert len(table) == 60_000
    for side in tables.SPLIT_VALUES:
        assert abs(table["memorability"][table["split_1"] == side].mean() - scores.mean()) < 0.003


def test_splits_predict_their_own_scores():
    table = pd.DataFrame({"memorability": [0.5, 0.6], "memorability_2": [0.1, 0.2]})
    table = table.assign(split_1=["train", "test"], split_2=["test", "train"])
    np.testing.assert_array_equal(splits.memorability_scores(table), [[0.5, 0.6], [0.1, 0.2]])
