"""What Snakemake plans and does: each job once, only what changed, and the same numbers however it is cut."""

import re

import pytest
import torch

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("snakemake")]

AFTER_THE_LAST_JOB = {
    "results/memorability.csv",
    "results/brain.csv",
    "results/layers.csv",
    "results/correlations.csv",
    "results/figures/relation.svg",
    "results/figures/memorability_against_brain.svg",
    "results/figures/along_depth.svg",
    "results/summary.rst",
}


@pytest.fixture
def planned(run_snakemake):
    """planned(folder, *arguments): the files that a run would make."""

    def plan(folder, *arguments) -> set[str]:
        code, output = run_snakemake(folder, "--summary", *arguments)
        assert code == 0, output
        rows = [line.split("\t") for line in output.splitlines() if "\t" in line]
        columns = {name: i for i, name in enumerate(rows[0])}
        made = [row[columns["output_file"]] for row in rows[1:] if row[columns["plan"]] != "no update"]
        assert len(made) == len(set(made)), "a file is made twice"
        return set(made)

    return plan


@pytest.fixture
def job_counts(run_snakemake):
    """job_counts(folder, *arguments): the number of jobs of each rule in a dry run."""

    def count(folder, *arguments) -> dict[str, int]:
        code, output = run_snakemake(folder, "--dry-run", *arguments)
        assert code == 0, output
        table = output.partition("Job stats:")[2].partition("\n\n")[0]
        counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
        assert counts.pop("total", 0) == sum(counts.values())
        assert bool(counts) != ("Nothing to be done" in output)
        return counts

    return count


def write_models(folder, *lines) -> None:
    rows = ["model\ttimm_name\tweights\tlayers", *("\t".join(line) for line in lines)]
    (folder / "models.tsv").write_text("\n".join(rows) + "\n")


def jobs_of(model, *layers) -> set[str]:
    """The files of a model's jobs on the two stimulus sets of the tiny study."""
    return {
        path
        for layer in layers
        for path in (
            f"results/activations/datasets/mine/{model}/{layer}.nc",
            f"results/activations/benchmarks/simulated/{model}/{layer}.nc",
            f"results/memorability/mine/{model}/{layer}.csv",
            f"results/brain/simulated/{model}/{layer}.csv",
        )
    }


STAGED = {
    "resources/stimuli/datasets/mine/stimuli.csv",
    "resources/stimuli/benchmarks/simulated/stimuli.csv",
    "resources/benchmarks/simulated.V1.nc",
    "resources/benchmarks/simulated.IT.nc",
    "resources/pixels/datasets/mine/64x64-bilinear.npy",
    "resources/pixels/benchmarks/simulated/64x64-bilinear.npy",
}


@pytest.mark.parametrize(
    ("layers_per_job", "jobs_of_a"),
    [(1, ["conv1.0", "layer1.0.act2", "penultimate"]), (2, ["conv1.0..layer1.0.act2", "penultimate"])],
)
def test_each_job_is_planned_once(tiny_study, planned, configure, layers_per_job, jobs_of_a):
    """Activations per (model, layers, stimulus set), memorability per (model, layers), brain per benchmark group."""
    write_models(
        tiny_study,
        ("a", "test_resnet", "untrained", "conv1.0,layer1.0.act2,penultimate"),
        ("b", "test_resnet.r160_in1k", "timm", "penultimate"),
    )
    configure(tiny_study, layers_per_job=layers_per_job)
    weights = {"resources/weights/a.safetensors", "resources/weights/b.safetensors"}
    jobs = jobs_of("a", *jobs_of_a) | jobs_of("b", "penultimate")
    assert planned(tiny_study) == STAGED | weights | jobs | AFTER_THE_LAST_JOB


def test_job_counts_of_a_clean_folder(tiny_study, job_counts):
    assert job_counts(tiny_study) == {
        "stage_dataset": 1,
        "stage_stimuli": 1,
        "stage_benchmark": 2,
        "stage_weights": 1,
        "pixels": 2,
        "activations": 6,
        "memorability": 3,
        "brain": 3,
        "collect_memorability": 1,
        "collect_brain": 1,
        "layers": 1,
        "correlations": 1,
        "figures": 1,
        "summary": 1,
        "all": 1,
    }


def test_nothing_is_planned_for_a_finished_study(finished_study, job_counts, planned):
    assert job_counts(finished_study) == {}
    assert planned(finished_study) == set()
    left = [str(path.relative_to(finished_study)) for path in (finished_study / "results").rglob("*") if path.is_file()]
    jobs = {path for path in jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate") if path.endswith(".csv")}
    assert set(left) - {"results/README.md"} == jobs | AFTER_THE_LAST_JOB


def test_a_line_more_runs_that_model_only(finished_study, planned):
    tiny = ("tiny", "test_resnet", "untrained")
    write_models(finished_study, tiny, ("added", "test_resnet", "untrained", "conv1.0,fc"))
    jobs = jobs_of("added", "conv1.0", "fc") | {"resources/weights/added.safetensors"}
    assert planned(finished_study) == jobs | AFTER_THE_LAST_JOB


def test_a_line_less_runs_no_model(finished_study, planned, run_snakemake):
    write_models(finished_study, ("tiny", "test_resnet", "untrained", "conv1.0,penultimate"))
    assert planned(finished_study) == AFTER_THE_LAST_JOB


def test_other_weights_run_that_model_only(finished_study, planned):
    torch.save({"conv1.weight": torch.zeros(1)}, finished_study / "lab.pth")
    write_models(finished_study, ("tiny", "test_resnet", "lab.pth"))
    jobs = jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate") | {"resources/weights/tiny.safetensors"}
    assert planned(finished_study) == jobs | AFTER_THE_LAST_JOB


def test_settings_that_change_no_number_run_nothing(finished_study, job_counts, configure):
    configure(finished_study, batch_size=5, device="cpu")
    assert job_counts(finished_study) == {}


def scored_again(finished_study, run_snakemake, cores) -> None:
    """Compute the table of all layers anew, from what is staged."""
    for path in sorted((finished_study / "results").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    code, output = run_snakemake(finished_study, "--cores", str(cores), "--quiet", "rules", "--", "results/layers.csv")
    assert code == 0, output
