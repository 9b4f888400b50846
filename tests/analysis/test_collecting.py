"""A table of jobs is whole, or there is none."""

import json
import os
import shutil
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from memscore import study
from memscore.analysis import collecting
from memscore.errors import InputError
from memscore.scores.memorability import BestLayers

WHOLE = "model,layer,raw,note\r\na,conv,0.5,\r\na,fc,0.25,\r\n"
ROWS = [{"model": "a", "layer": "conv"}, {"model": "a", "layer": "fc"}]
SAYING = "model,layer,raw,note,made_with\r\na,conv,0.5,,p1e2345678901\r\na,fc,0.25,,p1e2345678901\r\n"
OTHERS = "made with other settings than the study's"
IMAGES = "stimulus_id,split_1\r\na,train\r\nb,test\r\nc,test\r\n"
# A file of each kind that jobs write, and the tables that it goes into.
KINDS = {
    "results/memorability/mine/tiny/conv1.0.csv": "memorability memorability/mine finetuned generalisation",
    "results/memorability/mine/tiny/penultimate.npz": "memorability memorability/mine finetuned generalisation",
    "results/memorability/mine/tiny.tuned-1/penultimate.npz": "memorability memorability/mine finetuned generalisation",
    "results/memorability/theirs/tiny/conv1.0.npz": "memorability/theirs generalisation",
    "results/brain/simulated/tiny/conv1.0.csv": "brain finetuned generalisation",
    "results/brain/simulated/tiny.tuned-1/penultimate.csv": "brain finetuned generalisation",
    "results/generalisation/mine/theirs/tiny/penultimate.csv": "generalisation/mine/theirs generalisation",
    "results/audit/simulated.IT/tiny/penultimate.csv": "audit",
    "results/finetune/tiny/split_1.csv": "finetuned",
    "results/finetune/tiny/split_1.predicted.csv": "finetuned",
    "results/finetune/tiny/split_1.epochs.csv": "finetuned",
    "results/recognition/tiny.csv": "finetuned",
    "results/peers/resmem/mine.csv": "beside_published",
    "results/consistency/mine.csv": "generalisation",
}
KINDS = {file: {f"results/{name}.csv" for name in names.split()} for file, names in KINDS.items()}
TABLES = set().union(*KINDS.values())
TARGETS = ("all", "generalisation", "finetuned", "audit")
# By what is wrong with a file: what it was damaged by. Of predictions (.npz) numpy says what is wrong.
DAMAGES = {
    "the file is empty": lambda whole: b"",
    "it ends in the middle of a row": lambda whole: whole[:-5],
    "it holds zeros instead of text": lambda whole: bytes(len(whole) - 1) + b"\n",
    "no row": lambda whole: whole.splitlines(keepends=True)[0],
}
# A table of each rule that `collecting.together` is given.
JOBS = {
    "memorability": "results/memorability/mine/tiny/conv1.0..penultimate.csv",
    "memorability of a tuned network": "results/memorability/mine/tiny.tuned-2/penultimate.csv",
    "brain": "results/brain/simulated/tiny/conv1.0.csv",
    "generalise": "results/generalisation/mine/theirs/tiny/conv1.0.csv",
    "audit_layer": "results/audit/simulated.IT/tiny/conv1.0.csv",
    "finetune": "results/finetune/tiny/split_2.csv",
    "recognition": "results/recognition/tiny.csv",
}
# Asked of the workflow as Snakemake reads it: what the jobs of these files hash, and what the study says of them.
TOLD = """
import json

include: "Snakefile"

from memscore.settings import made_with
from snakemake.rules import InputFiles, OutputFiles, Wildcards


def of_job(file):
    (rule,) = [rule for rule in workflow.rules if rule.is_producer(file)]
    wildcards = Wildcards(fromdict=rule.get_wildcards(file))
    return made_with(rule.expand_params(wildcards, InputFiles(), OutputFiles(), None)[0])


with open("told.json", "w") as told:
    json.dump({file: [of_job(file), STUDY.table_of(file)[2]] for file in FILES}, told)
"""


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "the file is empty"),
        *((WHOLE[:end], "it ends in the middle of a row") for end in (3, 21, 30, len(WHOLE) - 1)),
        ("model,layer,raw,note\r\n", "no row of a conv"),
        ("model,layer,raw,note\r\na,conv,0.5,\r\n", "no row of a fc"),
        (WHOLE + "a,fc,0.25,\r\n", "2 rows of a fc"),
        (WHOLE.replace("a,fc,0.25,", "a,fc,0.25"), "a row has more or fewer cells than the header"),
        (WHOLE.replace("raw", "law"), "no column raw"),
        (WHOLE.replace("layer", "label"), "no column layer"),
        (WHOLE.replace("0.5", "\0\0\0"), "it holds zeros instead of text"),
        (SAYING.replace("8901", "8902", 1), OTHERS),
        (SAYING.replace("p1e2345678901", ""), OTHERS),
    ],
)
def test_damage_is_seen(tmp_path, text, wrong):
    file = tmp_path / "a.csv"
    file.write_bytes(text.encode())
    assert collecting.damage(file, ROWS, ["raw"], "p1e2345678901") == wrong


def alone(table_of) -> SimpleNamespace:
    """A study of which nothing else is there."""
    return SimpleNamespace(table_of=table_of, job_tables=dict, goes_into=lambda file: [])


def test_all_damaged_files_are_named_and_removed(tmp_path):
    files = [str(tmp_path / name) for name in ("whole.csv", "cut.csv", "empty.csv")]
    for file, text in zip(files, (WHOLE, WHOLE[:30], ""), strict=True):
        (tmp_path / file).write_bytes(text.encode())
    with pytest.raises(
        InputError, match=r"cut\.csv \(it ends.*empty\.csv \(the file is empty\); removed: give the same"
    ):
        collecting.together(files, alone(lambda file: (ROWS, ["raw"], "")))
    assert [path.name for path in tmp_path.iterdir()] == ["whole.csv"]
    assert list(collecting.together(files[:1], alone(lambda file: (ROWS, ["raw"], "")))["raw"]) == [0.5, 0.25]


def test_what_another_run_made_is_removed_and_what_does_not_say_is_taken(tmp_path):
    """A job of a killed run ends after the new run's, whose table it replaces."""
    files = [str(tmp_path / name) for name in ("old.csv", "late.csv", "new.csv")]
    for file, text in zip(files, (WHOLE, SAYING.replace("8901", "8902"), SAYING), strict=True):
        (tmp_path / file).write_bytes(text.encode())

    def table_of(file):
        return ROWS, ["raw"], "p1e2345678901"

    with pytest.raises(InputError, match=rf"unusable results: \S+late\.csv \({OTHERS}\); removed: give the same"):
        collecting.together(files, alone(table_of))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "old.csv"]
    together = collecting.together([files[0], files[2]], alone(table_of))
    assert list(together["raw"]) == [0.5, 0.25, 0.5, 0.25]
    assert list(together) == ["model", "layer", "raw", "note"]


@pytest.fixture
def of_study(repository, catalogue, tmp_path, monkeypatch):
    """A study that has a part of each kind, finished: each file of its jobs is there and whole."""
    monkeypatch.chdir(tmp_path)
    Path("models.tsv").write_text(
        "model\ttimm_name\tweights\tlayers\ntiny\ttest_resnet\ttiny.safetensors\tconv1.0,penultimate\n"
    )
    for file in ("tiny.safetensors", "mine.csv", "theirs.csv"):
        Path(file).touch()
    Path("imagenet").mkdir()
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    config |= {"models": "models.tsv", "input_size": 64, "layers_per_job": 1, "generalisation": ["mine", "theirs"]}
    config["datasets"] = {
        name: {"source": "table", "table": f"{name}.csv", "n_splits": 1} for name in ("mine", "theirs")
    }
    config |= {"memorability": config["memorability"] | {"dataset": "mine"}, "object_recognition": "imagenet"}
    config |= {"finetune": config["finetune"] | {"splits": [1]}, "peers": ["resmem"]}
    loaded = study.load(config | {"brain": config["brain"] | {"benchmarks": ["simulated.IT"]}}, catalogue)
    write("resources/stimuli/datasets/mine/stimuli.csv", IMAGES.encode())
    for table in chain(*loaded.job_tables().values()):
        for file in (table, *collecting.beside(table)):
            write(file, whole(loaded, file) if file.endswith(".csv") else b"")
            if file.endswith(".npz"):
                BestLayers(1, 3).write(file)
    for table in TABLES:
        write(table, b"put together")
    return loaded


def write(file: str, content: bytes) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(content)


def whole(loaded: study.Study, file: str) -> bytes:
    """A job's table as it is to be."""
    rows, numbers, made_with = loaded.table_of(file)
    header = [*(rows[0] if rows else {}), *numbers, "made_with"]
    lines = [[*row.values(), *["1"] * len(numbers), made_with] for row in rows or [{}]]
    return "".join(",".join(line) + "\r\n" for line in [header, *lines]).encode()


def of_jobs(loaded: study.Study) -> list[str]:
    tables = list(chain(*loaded.job_tables().values()))
    return [*tables, *chain(*map(collecting.beside, tables))]


def test_a_finished_study_has_nothing_damaged(of_study):
    assert set(KINDS) <= set(of_jobs(of_study))
    collecting.check(of_jobs(of_study), of_study)
    assert all(map(os.path.exists, [*of_jobs(of_study), *TABLES]))


@pytest.mark.parametrize("finder", KINDS)
def test_whichever_step_finds_damage_names_and_removes_all_of_it(of_study, finder):
    """And the tables that it went into: to Snakemake, their jobs are to be run again."""
    damages = dict(zip(KINDS, [*DAMAGES.items()] * len(KINDS), strict=False))
    for file, (_, damage) in damages.items():
        Path(file).write_bytes(damage(Path(file).read_bytes()))
    with pytest.raises(InputError) as caught:
        collecting.together([finder], of_study)
    message = str(caught.value)
    assert message.startswith(f"unusable results: {finder} (")
    assert len(message.splitlines()) == 1
    for file, (wrong, _) in damages.items():
        assert f"{file} ({'damaged (' if file.endswith('.npz') else wrong}" in message
    gone = {file for file in [*of_jobs(of_study), *TABLES] if not os.path.exists(file)}
    assert gone == {*KINDS, *(str(Path(file).with_suffix(".csv")) for file in KINDS), *TABLES}


@pytest.mark.parametrize("file", KINDS)
def test_no_table_goes_but_those_of_the_file(of_study, file):
    Path(file).write_bytes(b"")
    with pytest.raises(InputError):
        collecting.check([file], of_study)
    assert {table for table in TABLES if not os.path.exists(table)} == KINDS[file]


def test_what_another_step_reads_and_has_other_settings_stays(of_study):
    """It may wait to be made anew, or for the config that it was made with; of an own file that cannot be."""
    brain, mine = "results/brain/simulated/tiny/conv1.0.csv", "results/memorability/mine/tiny/conv1.0.csv"
    theirs = of_study.table_of(brain)[2].encode()
    Path(brain).write_bytes(Path(brain).read_bytes().replace(theirs, b"p").replace(b"simulated.IT", b"simulated.V1"))
    Path(mine).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        collecting.together([mine], of_study)
    assert brain not in str(caught.value)
    assert Path(brain).exists()
    assert Path("results/brain.csv").exists()
    with pytest.raises(InputError, match=rf"{brain} \({OTHERS}\); removed"):
        collecting.together([brain], of_study)
    assert not Path(brain).exists()


def test_of_two_steps_that_find_damage_at_once_the_second_says_what_the_first_did(of_study):
    memorability, brain = "results/memorability/mine/tiny/conv1.0.csv", "results/brain/simulated/tiny/conv1.0.csv"
    for file in (memorability, brain):
        Path(file).write_bytes(b"")
    with pytest.raises(InputError):
        collecting.together([memorability], of_study)
    with pytest.raises(InputError, match=rf"^unusable results: {brain} \(removed by another step\); removed"):
        collecting.together([brain], of_study)


@pytest.mark.parametrize("file", ["results/peers/resmem/mine.csv", "results/finetune/tiny/split_1.predicted.csv"])
def test_predictions_cut_at_the_end_of_a_row_lack_images(of_study, file):
    Path(file).write_bytes(b"".join(Path(file).read_bytes().splitlines(keepends=True)[:-1]))
    assert collecting.damaged([file], of_study) == {file: "no row of c"}


def have_each_kind(folder, add_dataset, configure) -> None:
    """Make the tiny study one that has a part of each kind."""
    add_dataset(folder)
    table = "model\ttimm_name\tweights\tlayers\ntiny\ttest_resnet\ttiny.safetensors\tconv1.0,layer*,penultimate\n"
    (folder / "models.tsv").write_text(table)
    (folder / "tiny.safetensors").touch()
    (folder / "imagenet").mkdir()
    configure(
        folder,
        generalisation=["mine", "theirs"],
        memorability={"dataset": "mine", "components": "auto"},
        reduction={"sketch": 64},
        seeds={"sketch": 7, "weights": 8},
        finetune={"splits": [2], "learning_rate": "1e-4"},
        object_recognition="imagenet",
    )


@pytest.fixture(scope="module")
def told(make_tiny_study, add_dataset, configure, run_snakemake, tmp_path_factory):
    """What the workflow and the study say of JOBS, in a study that has a part of each kind."""
    folder = make_tiny_study(tmp_path_factory.mktemp("told") / "study")
    have_each_kind(folder, add_dataset, configure)
    (folder / "told.smk").write_text(f"FILES = {list(JOBS.values())}\n{TOLD}")
    code, output = run_snakemake(folder, "--snakefile", "told.smk", "--list-rules")
    assert code == 0, output
    return json.loads((folder / "told.json").read_text())


@pytest.mark.workflow
@pytest.mark.parametrize("job", JOBS)
def test_a_job_says_that_it_was_made_with_what_the_study_asks(told, job):
    of_job, of_study = told[JOBS[job]]
    assert of_job == of_study


def planned(run_snakemake, folder: Path) -> set[str]:
    """The files that a run would make."""
    code, output = run_snakemake(folder, "--summary", *TARGETS)
    assert code == 0, output
    rows = [line.split("\t") for line in output.splitlines() if "\t" in line]
    return {file for file, *_, plan in rows[1:] if plan != "no update"}


@pytest.fixture(scope="module")
def touched(make_tiny_study, add_dataset, configure, run_snakemake, tmp_path_factory):
    """A study that has a part of each kind, finished as Snakemake sees it: its files are there, and empty."""
    folder = make_tiny_study(tmp_path_factory.mktemp("touched") / "study")
    have_each_kind(folder, add_dataset, configure)
    configure(folder, finetune={"splits": [1]}, brain={"benchmarks": ["simulated.IT"]}, peers=["resmem"])
    for file in map(folder.joinpath, planned(run_snakemake, folder)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    code, output = run_snakemake(folder, "--touch", "--cores", "1", *TARGETS)
    assert code == 0, output
    return folder


@pytest.mark.workflow
@pytest.mark.thorough
@pytest.mark.parametrize("file", KINDS)
def test_the_same_command_makes_again_what_was_removed(touched, tmp_path, run_snakemake, file):
    folder = shutil.copytree(touched, tmp_path / "study")
    assert planned(run_snakemake, folder) == set()
    removed = {file, str(Path(file).with_suffix(".csv")), *KINDS[file]}
    for each in removed:
        (folder / each).unlink(missing_ok=True)
    assert removed <= planned(run_snakemake, folder)
