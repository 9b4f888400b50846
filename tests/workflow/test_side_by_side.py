"""Studies in folders of their own, side by side with one checkout, and a folder of downloads that they share."""

import io
import re
import shutil
import tarfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.workflow

N_IMAGES = 40
TABLES = ("layers", "memorability")


@pytest.fixture(scope="module")
def checkout(make_study_folder, tmp_path_factory):
    return make_study_folder(tmp_path_factory.mktemp("checkout") / "memscore")


@pytest.fixture(scope="module")
def lamem() -> bytes:
    """An archive as LaMem's, of 40 small images and one split."""
    rng, file = np.random.default_rng(0), io.BytesIO()
    brightness = rng.uniform(0.2, 0.8, N_IMAGES)
    lines = [f"{i:02d}.jpg {score:.4f}\n" for i, score in enumerate(brightness)]
    sides = {"train": lines[:26], "val": lines[26:30], "test": lines[30:]}
    contents = {f"splits/{side}_1.txt": "".join(part).encode() for side, part in sides.items()}
    for i, mean in enumerate(brightness):
        noise = 255 * np.clip(mean + rng.normal(0, 0.2, (48, 48, 3)), 0, 1)
        image = io.BytesIO()
        Image.fromarray(noise.astype(np.uint8)).save(image, "jpeg")
        contents[f"images/{i:02d}.jpg"] = image.getvalue()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"lamem/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def study(folder: Path, url: str, catalogue: Path, models: str) -> Path:
    """A folder with nothing but a config of what differs, and its model table."""
    shutil.copytree(catalogue, folder / "resources/layers")
    (folder / "models.tsv").write_text(f"model\ttimm_name\tweights\tlayers\n{models}")
    mine = {
        "models": "models.tsv",
        "layers": {"count": 3},
        "layers_per_job": None,
        "input_size": 64,
        "downloads": "../shared",
        "datasets": {"lamem": {"source": "lamem", "url": url}},
        "memorability": {"dataset": "lamem", "components": 5},
        "brain": None,
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(mine))
    return folder


@pytest.fixture
def run(checkout, run_snakemake):
    """run(folder, *arguments): what `snakemake` prints of a study in that folder, which comes to its end."""

    def ended(folder: Path, *arguments: str) -> str:
        where = ("--snakefile", str(checkout / "Snakefile"), "--directory", str(folder))
        config = ("--configfile", str(folder / "mine.yaml"))
        code, output = run_snakemake(folder.parent, *where, *config, *arguments)
        assert code == 0, output
        return output

    return ended


def files(folder: Path) -> dict[str, tuple]:
    """Size and time of writing of every file, but for compiled code."""
    found = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_two_studies_at_once_as_each_alone(checkout, run, lamem, serve, catalogue, tmp_path):
    """They stage the same archive at the same moment: it is fetched once, and each table is as of a study alone."""
    together, alone = tmp_path / "together", tmp_path / "alone"
    logs = [together / name / "logs/stage_dataset/lamem.log" for name in "ab"]

    def answer(method, path, headers):
        deadline = time.monotonic() + 120
        while together.exists() and not all(map(Path.is_file, logs)) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2)  # long enough for the other to come, too
        return (200, {"ETag": '"lamem"'}, lamem) if path == "/lamem.tar.gz" else (404, {}, b"")

    server = serve(answer)
    rows = "tiny\ttest_resnet\tuntrained\t\n", "other\ttest_resnet\tuntrained\tconv1.0,penultimate\n"

    def studies(parent: Path) -> list[Path]:
        (parent / "shared").mkdir(parents=True)
        return [
            study(parent / name, f"{server.url}/lamem.tar.gz", catalogue, row)
            for name, row in zip("ab", rows, strict=True)
        ]

    quietly = ("--cores", "1", "--quiet", "rules")
    reference = studies(alone)[0]
    run(reference, *quietly, "--", "results/layers.csv")
    server.requests.clear()
    both, before = studies(together), files(checkout)
    with ThreadPoolExecutor() as threads:
        ended_with = list(threads.map(lambda folder: run(folder, *quietly), both))

    assert server.requests == [("GET", "/lamem.tar.gz")]
    # One of them for the archive; and for what is unpacked of it one, whichever it is, or none.
    waits = [re.findall(r"(\S+): another process makes it; waiting until it is there", output) for output in ended_with]
    waited_for = Counter(path for paths in waits for path in set(paths))
    assert waited_for[str(together / "shared/lamem.tar.gz")] == 1, waits
    assert set(waited_for.values()) == {1}, waits
    assert files(checkout) == before
    for table in TABLES:
        path = f"results/{table}.csv"
        assert (both[0] / path).read_bytes() == (reference / path).read_bytes(), path
    assert len((both[1] / "results/layers.csv").read_text().splitlines()) == 3
    for folder, other in (both, both[::-1]):
        assert not [path for path in folder.rglob("*") if other.name in (path.parts[-2], path.name)]
        assert not (folder / "resources/downloads").exists()
        assert not (folder / "resources/unpacked").exists()
        staged = (folder / "resources/stimuli/datasets/lamem/stimuli.csv").read_text()
        assert str(together / "shared/unpacked") in staged
    # Nothing is made again because the folder is another.
    config = yaml.safe_load((both[0] / "mine.yaml").read_text())
    (both[0] / "mine.yaml").write_text(yaml.safe_dump(config | {"downloads": None}))
    assert "Nothing to be done" in run(both[0], "--dry-run")


def test_a_study_has_what_comes_with_the_workflow_unless_it_has_its_own(checkout, run, catalogue, tmp_path):
    """Its folder has a config of what differs and its data; a whole config of its own comes before the workflow's."""
    (tmp_path / "shared").mkdir()
    folder = study(tmp_path / "a", "http://127.0.0.1:9/lamem.tar.gz", catalogue, "tiny\ttest_resnet\ttiny.pth\t\n")
    (folder / "tiny.pth").touch()
    planned = run(folder, "--dry-run", "finetuned")
    assert "Fine-tune tiny on split 1" in planned
    assert "The study's networks beside other predictors" in planned
    config = yaml.safe_load((checkout / "config/config.yaml").read_text())
    (folder / "config").mkdir()
    config["finetune"]["splits"] = [3]
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config))
    planned = run(folder, "--dry-run", "finetuned")
    assert "Fine-tune tiny on split 3" in planned
    assert "Fine-tune tiny on split 1" not in planned
