"""A table of jobs is whole, or there is none."""

import json

import pytest

from memscore.analysis import collecting
from memscore.errors import InputError

WHOLE = "model,layer,raw,note\r\na,conv,0.5,\r\na,fc,0.25,\r\n"
ROWS = [{"model": "a", "layer": "conv"}, {"model": "a", "layer": "fc"}]
SAYING = "model,layer,raw,note,made_with\r\na,conv,0.5,,p1e2345678901\r\na,fc,0.25,,p1e2345678901\r\n"
OTHERS = "made with other settings than the study's"
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


def test_all_damaged_files_are_named_and_removed(tmp_path):
    files = [str(tmp_path / name) for name in ("whole.csv", "cut.csv", "empty.csv")]
    for file, text in zip(files, (WHOLE, WHOLE[:30], ""), strict=True):
        (tmp_path / file).write_bytes(text.encode())
    with pytest.raises(
        InputError, match=r"cut\.csv \(it ends.*empty\.csv \(the file is empty\); removed: give the same"
    ):
        collecting.together(files, lambda file: (ROWS, ["raw"], ""))
    assert [path.name for path in tmp_path.iterdir()] == ["whole.csv"]
    assert list(collecting.together(files[:1], lambda file: (ROWS, ["raw"], ""))["raw"]) == [0.5, 0.25]


def test_what_another_run_made_is_removed_and_what_does_not_say_is_taken(tmp_path):
    """A job of a killed run ends after the new run's, whose table it replaces."""
    files = [str(tmp_path / name) for name in ("old.csv", "late.csv", "new.csv")]
    for file, text in zip(files, (WHOLE, SAYING.replace("8901", "8902"), SAYING), strict=True):
        (tmp_path / file).write_bytes(text.encode())

    def table_of(file):
        return ROWS, ["raw"], "p1e2345678901"

    with pytest.raises(InputError, match=rf"unusable results: \S+late\.csv \({OTHERS}\); removed: give the same"):
        collecting.together(files, table_of)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "old.csv"]
    together = collecting.together([files[0], files[2]], table_of)
    assert list(together["raw"]) == [0.5, 0.25, 0.5, 0.25]
    assert list(together) == ["model", "layer", "raw", "note"]


@pytest.fixture(scope="module")
def told(make_tiny_study, add_dataset, configure, run_snakemake, tmp_path_factory):
    """What the workflow and the study say of JOBS, in a study that has a part of each kind."""
    folder = make_tiny_study(tmp_path_factory.mktemp("told") / "study")
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
    (folder / "told.smk").write_text(f"FILES = {list(JOBS.values())}\n{TOLD}")
    code, output = run_snakemake(folder, "--snakefile", "told.smk", "--list-rules")
    assert code == 0, output
    return json.loads((folder / "told.json").read_text())


@pytest.mark.workflow
@pytest.mark.parametrize("job", JOBS)
def test_a_job_says_that_it_was_made_with_what_the_study_asks(told, job):
    of_job, of_study = told[JOBS[job]]
    assert of_job == of_study
