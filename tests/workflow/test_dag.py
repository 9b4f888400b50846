"""What Snakemake plans and does: each job once, only what changed, and the same numbers however it is cut."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import xarray as xr
import yaml
from PIL import Image
from runs import Run

from memscore import libraries

pytestmark = pytest.mark.workflow

AFTER_MEMORABILITY = {
    "results/memorability.csv",
    "results/best_layers.csv",
    "results/best_layers/tiny.csv",
    "results/controls.csv",
}
AFTER_THE_LAST_JOB = AFTER_MEMORABILITY | {
    "results/brain.csv",
    "results/layers.csv",
    "results/correlations.csv",
    "results/differences.csv",
    "results/figures/relation.svg",
    "results/figures/memorability_against_brain.svg",
    "results/figures/along_depth.svg",
    "results/provenance.json",
    "results/summary.rst",
}
RECORDS = {
    f"results/provenance/{part}.json"
    for part in (
        "weights/tiny",
        "datasets/mine",
        "stimuli/simulated",
        "benchmarks/simulated.V1",
        "benchmarks/simulated.IT",
    )
}


def write_models(folder, *lines) -> None:
    rows = ["model\ttimm_name\tweights\tlayers", *("\t".join(line) for line in lines)]
    (folder / "models.tsv").write_text("\n".join(rows) + "\n")


def jobs_of(model, *layers) -> set[str]:
    """The files of a model's jobs on the two stimulus sets of the tiny study."""
    return {
        path
        for layer in layers
        for path in (
            f"results/memorability/mine/{model}/{layer}.csv",
            f"results/memorability/mine/{model}/{layer}.npz",
            f"results/brain/simulated/{model}/{layer}.csv",
        )
    }


def training_of(model) -> set[str]:
    """The files of a model's training on the first split, of what is scored of it, and of what tells."""
    split = f"results/finetune/{model}/split_1"
    tables = ("finetuned", "finetuned_networks", "finetuned_layers", "finetuned_against_layers", "beside_published")
    figures = ("before_and_after", "training_curves", "beside_published")
    return {
        f"resources/weights/{model}.tuned-1.safetensors",
        *(f"{split}{part}.csv" for part in ("", ".epochs", ".predicted")),
        *jobs_of(f"{model}.tuned-1", "penultimate"),
        *(f"results/{table}.csv" for table in tables),
        *(f"results/figures/{figure}.svg" for figure in figures),
    }


STAGED = {
    "resources/stimuli/datasets/mine/staged.csv",
    "resources/stimuli/datasets/mine/images.csv",
    "resources/stimuli/datasets/mine/stimuli.csv",
    "resources/stimuli/datasets/mine/duplicates.csv",
    "resources/stimuli/benchmarks/simulated/stimuli.csv",
    "resources/benchmarks/simulated.V1.nc",
    "resources/benchmarks/simulated.IT.nc",
    "resources/pixels/datasets/mine/64x64-bilinear.npy",
    "resources/pixels/benchmarks/simulated/64x64-bilinear.npy",
}
CONSISTENCY = {"results/consistency/mine.csv"}


@pytest.mark.parametrize(
    ("layers_per_job", "jobs_of_a"),
    [(1, ["conv1.0", "layer1.0.act2", "penultimate"]), (2, ["conv1.0..layer1.0.act2", "penultimate"])],
)
def test_each_job_is_planned_once(tiny_study, planned, configure, layers_per_job, jobs_of_a):
    """From pixels to scores in one job per (model, layers, stimulus set)."""
    write_models(
        tiny_study,
        ("a", "test_resnet", "untrained", "conv1.0,layer1.0.act2,penultimate"),
        ("b", "test_resnet.r160_in1k", "timm", "penultimate"),
    )
    configure(tiny_study, layers_per_job=layers_per_job)
    weights = weights_of("a") | weights_of("b")
    jobs = jobs_of("a", *jobs_of_a) | jobs_of("b", "penultimate")
    records = RECORDS - weights_of("tiny")
    best = {f"results/best_layers/{model}.csv" for model in ("a", "b")}
    rest = records | CONSISTENCY | AFTER_THE_LAST_JOB - {"results/best_layers/tiny.csv"} | best
    assert planned(tiny_study) == STAGED | weights | jobs | training_of("b") | rest


def weights_of(model):
    return {f"resources/weights/{model}.safetensors", f"results/provenance/weights/{model}.json"}


def test_every_wildcard_is_one_name(rules):
    """`results/generalisation/{fitted}/{tested}.csv` would match every layer's file below, and ask for all of them."""
    assert rules["collect_across"]["wildcards"] == ["fitted", "tested"]
    assert {name: rule["spans"] for name, rule in rules.items() if rule["spans"]} == {}


def test_nothing_is_planned_for_a_finished_study(finished_study, job_counts, planned):
    assert job_counts(finished_study) == {}
    assert planned(finished_study) == set()
    left = [str(path.relative_to(finished_study)) for path in (finished_study / "results").rglob("*") if path.is_file()]
    jobs = jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate")
    assert set(left) - {"results/README.md"} == jobs | CONSISTENCY | RECORDS | AFTER_THE_LAST_JOB


def test_whatever_is_lost_comes_back(finished_study, planned):
    """What the study promises, although its front page is there."""
    lost = AFTER_THE_LAST_JOB - {"results/summary.rst"} | CONSISTENCY
    for path in lost:
        (finished_study / path).unlink()
    assert lost <= planned(finished_study)


def test_one_number_runs_again(finished_study, run_snakemake, planned):
    """As the README says: alone, and with the same outcome, so that nothing follows."""
    one = finished_study / "results/memorability/mine/tiny/penultimate.csv"
    before = one.read_bytes(), one.stat().st_mtime_ns
    code, output = run_snakemake(finished_study, "--cores", "2", "--force", str(one.relative_to(finished_study)))
    assert code == 0, output
    assert output.count("Finished jobid") == 1
    assert (one.read_bytes(), one.stat().st_mtime_ns > before[1]) == (before[0], True)
    assert planned(finished_study) == set()


def test_a_photograph_replaced_under_its_name_runs_what_saw_it(staged_study, planned, run_snakemake):
    """Its own set, and not the others'; once."""
    code, output = run_snakemake(staged_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    assert planned(staged_study) == set()
    photograph = Path(pd.read_csv(staged_study / "resources/stimuli/datasets/mine/stimuli.csv")["path"][3])
    scores = staged_study / "results/memorability/mine/tiny/conv1.0.csv"
    before = scores.read_text()
    with Image.open(photograph) as image:
        image.convert("RGB").transpose(Image.Transpose.ROTATE_180).save(photograph)
    jobs = {path for path in jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate") if "brain" not in path}
    seen = {f"resources/stimuli/datasets/mine/{name}.csv" for name in ("images", "stimuli", "duplicates")}
    pixels = {"resources/pixels/datasets/mine/64x64-bilinear.npy"}
    noted = {"results/provenance/datasets/mine.json"}
    assert planned(staged_study) == (
        jobs | seen | pixels | noted | CONSISTENCY | AFTER_THE_LAST_JOB - {"results/brain.csv"}
    )
    code, output = run_snakemake(staged_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    assert scores.read_text() != before
    assert planned(staged_study) == set()


def test_an_image_of_a_benchmark_replaced_runs_what_saw_it(finished_study, planned):
    folder = finished_study / "resources/stimuli/benchmarks/simulated"
    path = folder / pd.read_csv(folder / "stimuli.csv")["path"][3]
    with Image.open(path) as image:
        image.transpose(Image.Transpose.ROTATE_180).save(path)
    again = planned(finished_study)
    seen = {path for path in jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate") if "/brain/" in path}
    assert seen | {"resources/pixels/benchmarks/simulated/64x64-bilinear.npy", "results/layers.csv"} <= again
    assert not [path for path in again if "memorability/" in path or "datasets" in path]


def test_a_line_more_runs_that_model_only(finished_study, planned):
    tiny = ("tiny", "test_resnet", "untrained")
    write_models(finished_study, tiny, ("added", "test_resnet", "untrained", "conv1.0,fc"))
    jobs = jobs_of("added", "conv1.0", "fc") | weights_of("added")
    assert planned(finished_study) == jobs | AFTER_THE_LAST_JOB | {"results/best_layers/added.csv"}


def test_a_line_less_runs_no_model(finished_study, planned, run_snakemake):
    write_models(finished_study, ("tiny", "test_resnet", "untrained", "conv1.0,penultimate"))
    assert planned(finished_study) == AFTER_THE_LAST_JOB


def test_a_data_set_more_runs_what_is_of_it_alone(finished_study, planned, configure, add_dataset):
    """Nothing while it is only named; then its own stimuli, its own scores, and what is of both sets."""
    add_dataset(finished_study)
    assert planned(finished_study) == set()
    configure(finished_study, generalisation=["mine", "theirs"])
    assert planned(finished_study) == set()
    layers, pairs = ("conv1.0", "layer2.0.act2", "penultimate"), ("mine/theirs", "theirs/mine")
    stimuli = {path.replace("/mine/", "/theirs/") for path in STAGED if "/mine/" in path}
    scores = {f"results/memorability/theirs/tiny/{layer}.{suffix}" for layer in layers for suffix in ("csv", "npz")}
    both = {f"results/generalisation/{pair}/tiny/{layer}.csv" for pair in pairs for layer in layers}
    both |= {f"resources/stimuli/datasets/{pair.replace('/', '/shared/')}.csv" for pair in pairs}
    tables = {f"results/generalisation/{pair}.csv" for pair in pairs} | {"results/consistency/theirs.csv"}
    tables |= {f"results/{name}.csv" for name in ("generalisation", "generalisation_correlations")}
    tables |= {f"results/memorability/{name}.csv" for name in ("mine", "theirs")}
    figures = {f"results/figures/{name}.svg" for name in ("across_against_within", "generalisation_by_region")}
    assert planned(finished_study, "generalisation") == stimuli | scores | both | tables | figures
    # Studied in the place of the first one it has all that is of memorability, and nothing else.
    configure(finished_study, generalisation=None, memorability={"dataset": "theirs"})
    record = {"results/provenance/datasets/theirs.json", "results/consistency/theirs.csv"}
    assert planned(finished_study) == stimuli | scores | record | AFTER_THE_LAST_JOB - {"results/brain.csv"}


def test_a_benchmark_more_runs_similarity_on_its_stimuli(finished_study, planned, configure):
    """Of stimuli that are studied, those; of others, its own alone."""
    layers = ("conv1.0", "layer2.0.act2", "penultimate")
    after = AFTER_THE_LAST_JOB - AFTER_MEMORABILITY
    configure(finished_study, brain={"benchmarks": ["simulated.V1", "simulated.IT", "simulated.V4"]})
    staged = {"resources/benchmarks/simulated.V4.nc", "results/provenance/benchmarks/simulated.V4.json"}
    assert planned(finished_study) == staged | {path for path in jobs_of("tiny", *layers) if "/brain/" in path} | after
    configure(finished_study, brain={"benchmarks": ["simulated.V1", "simulated.IT", "cowley2023.V4"]})
    staged = {path.replace("simulated", "cowley2023") for path in STAGED if "benchmarks/simulated" in path}
    staged = {path for path in staged if not path.endswith(".nc")} | {"resources/benchmarks/cowley2023.V4.nc"}
    records = {f"results/provenance/{part}.json" for part in ("stimuli/cowley2023", "benchmarks/cowley2023.V4")}
    scores = {f"results/brain/cowley2023/tiny/{layer}.csv" for layer in layers}
    assert planned(finished_study) == staged | records | scores | after


def test_what_no_number_comes_from_runs_nothing(finished_study, job_counts, configure):
    """What is written about the workflow; a checkout whose files are all new; another folder for downloads."""
    for name in ("README.md", "CHANGELOG.md", "docs/costs.md", "tests/test_new.py", "config/mine.yaml"):
        (finished_study / name).parent.mkdir(exist_ok=True)
        (finished_study / name).write_text("What is new.")
    for folder in ("workflow", "config", "envs", "profiles"):
        for path in (finished_study / folder).rglob("*"):
            path.touch()
    configure(finished_study, downloads=".")
    assert job_counts(finished_study) == {}


def test_names_of_networks_are_text(finished_study, run_snakemake):
    """`NA` is no missing value, and `007` no number."""
    names = ("NA", "007")
    write_models(finished_study, *((name, "test_resnet", "untrained", "penultimate") for name in names))
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    table = pd.read_csv(finished_study / "results/layers.csv", dtype={"model": str}, keep_default_na=False)
    assert list(table["model"]) == list(names)
    assert table["memorability"].gt(-1).all()
    assert all(f"* - {name}" in (finished_study / "results/summary.rst").read_text() for name in names)


def test_other_weights_run_that_model_only(finished_study, planned):
    torch.save({"conv1.weight": torch.zeros(1)}, finished_study / "lab.pth")
    write_models(finished_study, ("tiny", "test_resnet", "lab.pth"))
    jobs = jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate") | weights_of("tiny") | training_of("tiny")
    assert planned(finished_study) == jobs | AFTER_THE_LAST_JOB


def test_a_plugin_disturbs_no_other_model(finished_study, planned, add_lab_network):
    add_lab_network(finished_study, layers="conv,penultimate")
    pixels = {f"resources/pixels/{stimuli}/64x64-bicubic.npy" for stimuli in ("datasets/mine", "benchmarks/simulated")}
    jobs = jobs_of("lab", "conv", "penultimate") | weights_of("lab") | pixels
    assert planned(finished_study) == jobs | AFTER_THE_LAST_JOB | {"results/best_layers/lab.csv"}


def test_settings_that_change_no_number_run_nothing(finished_study, job_counts, configure):
    configure(finished_study, batch_size=5, device="cpu")
    assert job_counts(finished_study) == {}


def test_another_seed_runs_what_is_random(finished_study, planned, configure, run_snakemake):
    """Untrained weights, and not those of a file."""
    shutil.copy(finished_study / "resources/weights/tiny.safetensors", finished_study / "lab.safetensors")
    write_models(finished_study, ("tiny", "test_resnet", "untrained"), ("lab", "test_resnet", "lab.safetensors"))
    weights = "resources/weights/lab.safetensors"
    code, output = run_snakemake(finished_study, "--cores", "1", "--quiet", "rules", "--", weights)
    assert code == 0, output
    configure(finished_study, seed=2)
    again = planned(finished_study)
    assert "resources/weights/tiny.safetensors" in again
    assert weights not in again


@pytest.mark.parametrize(
    ("purpose", "again", "untouched"),
    [
        ("weights", {"resources/weights/tiny.safetensors", "results/layers.csv"}, {"resources/benchmarks", "stimuli/"}),
        ("data", {"resources/benchmarks/simulated.V1.nc", "results/layers.csv"}, {"resources/weights"}),
        ("sketch", {"results/brain.csv", "results/memorability.csv"}, {"resources", "results/provenance/"}),
        ("analysis", CONSISTENCY, {"resources", "results/memorability", "results/brain", "results/provenance/"}),
    ],
)
def test_a_seed_of_its_own_runs_what_it_is_for(finished_study, planned, configure, purpose, again, untouched):
    configure(finished_study, seeds={purpose: 2})
    files = planned(finished_study)
    assert again <= files
    assert not [file for file in files for start in untouched if file.startswith(start)]


def test_provenance_says_what_the_study_rests_on(finished_study):
    file = finished_study / "results/provenance.json"
    facts = json.loads(file.read_text())
    weights = hashlib.sha256((finished_study / "resources/weights/tiny.safetensors").read_bytes()).hexdigest()
    assert facts["weights"] == {"tiny": {"sha256": weights, "source": "untrained"}}
    assert facts["datasets"]["mine"]["n_stimuli"] == 48
    digests = {name: benchmark["values_sha256"] for name, benchmark in facts["benchmarks"].items()}
    assert list(digests) == ["simulated.V1", "simulated.IT"]
    assert len(set(digests.values())) == 2
    assert facts["config"]["datasets"]["mine"] == {"source": "table", "table": "mine.csv", "n_splits": 2}
    assert facts["config"]["precision"] == "float32"
    assert facts["packages"]["timm"] == timm.__version__
    assert {sum(layers.values()) for layers in facts["layers_by_device"].values()} == {3}
    assert facts["steps"]["brain"] >= 1
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest in (finished_study / "results/summary.rst").read_text(encoding="utf-8")


def test_staged_anew_a_study_rests_on_the_same(finished_original, finished_study, run_snakemake):
    for part in ("weights", "benchmarks", "stimuli"):
        shutil.rmtree(finished_study / "resources" / part)
    shutil.rmtree(finished_study / "results/provenance")
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules", "--", *sorted(RECORDS))
    assert code == 0, output
    for record in RECORDS:
        assert (finished_study / record).read_bytes() == (finished_original / record).read_bytes(), record


def test_a_finished_study_outlives_what_was_staged(finished_study, job_counts):
    """What went in is noted beside the results, and not staged again for that."""
    for part in ("weights", "benchmarks", "pixels"):
        shutil.rmtree(finished_study / "resources" / part)
    assert job_counts(finished_study) == {}


def test_components_are_chosen_where_asked_and_written(finished_study, run_snakemake, configure, planned):
    """`max_components` counts only then."""
    configure(finished_study, memorability={"max_components": 7})
    assert planned(finished_study, "memorability_scores") == set()
    configure(finished_study, memorability={"components": "auto"})
    scored = {path for path in planned(finished_study) if path.startswith(("results/memorability/", "results/brain/"))}
    assert scored == {
        path for path in jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate") if "/memorability/" in path
    }
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    table = pd.read_csv(finished_study / "results/layers.csv")
    chosen = table[["components_split_1", "components_split_2"]]
    assert ((chosen >= 1) & (chosen <= 7)).all(axis=None)
    assert (chosen < 7).any(axis=None)


def test_a_run_sweeps_what_a_killed_one_left(finished_study, run_snakemake):
    stale = finished_study / "results/brain/.node7-1-0123abcd.conv1.0.csv"
    stale.touch()
    os.utime(stale, (0, 0))
    (finished_study / "results/summary.rst").unlink()
    run_snakemake(finished_study, "--dry-run")
    assert stale.exists()
    code, output = run_snakemake(finished_study, "--cores", "1", "--quiet", "rules")
    assert code == 0, output
    assert not stale.exists()


def test_a_target_of_what_the_study_has_not_says_what_to_name(tiny_study, run_snakemake, configure):
    configure(tiny_study, memorability=None)
    targets = ("memorability_scores", "generalisation", "finetuned", "predict")
    code, output = run_snakemake(tiny_study, "--cores", "1", *targets)
    assert code == 0, output
    for words in (
        "config: memorability is null",
        "config: generalisation is null; name two or more of the datasets",
        "Nothing to fine-tune",
        "name a folder, --config images=<folder>",
    ):
        assert words in output


def test_settings_that_change_numbers_run_what_they_change(finished_study, planned, configure):
    configure(finished_study, memorability={"components": 4})
    jobs = jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate")
    assert planned(finished_study) == {path for path in jobs if "brain" not in path and "benchmarks" not in path} | (
        AFTER_THE_LAST_JOB - {"results/brain.csv"}
    )


def test_another_version_of_a_step_runs_what_it_is_of(finished_study, planned):
    versions = finished_study / "workflow/memscore/versions.py"
    versions.write_text(re.sub(r'"brain": \(\d+', '"brain": (99', versions.read_text()))
    jobs = jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate")
    expected = {path for path in jobs if "brain" in path} | AFTER_THE_LAST_JOB - AFTER_MEMORABILITY
    assert planned(finished_study) == expected


def test_a_comment_runs_nothing(finished_study, job_counts):
    for name in ("scripts/scores/brain.py", "scripts/analysis/collect.py", "memscore/scores/pls.py"):
        with open(finished_study / "workflow" / name, "a") as file:
            file.write("# That is all.\n")
    assert job_counts(finished_study) == {}


TABLES = ("results/layers.csv", "results/memorability.csv", "results/brain.csv")


def test_neither_cut_nor_passes_nor_cores_change_a_byte(finished_original, finished_study, run_snakemake, configure):
    """All layers in one job on one core, in scratch and a layer of the 240 tiles a pass, against one a job on two."""
    configure(finished_study, layers_per_job=None, resources={"memory_gb": 2, "scratch_gb": 0.004})
    shutil.rmtree(finished_study / "results")
    code, output = run_snakemake(finished_study, "--cores", "1", "--quiet", "rules", "--", "results/layers.csv")
    assert code == 0, output
    assert os.listdir(finished_study / "results/brain/simulated/tiny") == ["conv1.0..penultimate.csv"]
    for table in TABLES:
        assert (finished_study / table).read_bytes() == (finished_original / table).read_bytes()


def test_layers_per_job_changed_half_way(finished_original, finished_study, run_snakemake, configure, planned):
    """What is scored neither runs again nor is forgotten."""
    configure(finished_study, layers_per_job=3)
    assert planned(finished_study) == set()
    for layer in ("conv1.0", "layer2.0.act2"):
        (finished_study / f"results/memorability/mine/tiny/{layer}.csv").unlink()
    run = {f"results/memorability/mine/tiny/conv1.0..layer2.0.act2.{suffix}" for suffix in ("csv", "npz")}
    assert planned(finished_study) == run | AFTER_THE_LAST_JOB - {"results/brain.csv"}
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    for table in TABLES:
        assert (finished_study / table).read_bytes() == (finished_original / table).read_bytes()
    configure(finished_study, layers_per_job=1)
    assert planned(finished_study) == set()


@pytest.mark.parametrize(
    ("targets", "left_out", "others"),
    [("memorability", "brain", "benchmarks"), ("brain", "memorability", "datasets")],
)
def test_each_half_is_scored_without_the_other(tiny_study, planned, targets, left_out, others):
    (tiny_study / "mine.yaml").write_text(f"{left_out}: null\n")
    jobs = jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate")
    expected = {path for path in jobs | STAGED if left_out not in path and others not in path}
    expected |= {"resources/weights/tiny.safetensors", f"results/{targets}.csv"}
    assert planned(tiny_study, "--configfile", "mine.yaml", "--", f"{targets}_scores") == expected
    assert planned(tiny_study, "--", f"{targets}_scores") == expected


@pytest.mark.parametrize(
    ("half", "scores", "answer"),
    [
        ("brain", ["memorability"], "tiny reaches at most ρ = "),
        ("memorability", ["simulated.V1.score", "simulated.IT.score"], "tiny reaches at most r = "),
    ],
)
def test_half_a_study_comes_to_its_end(finished_study, run_snakemake, half, scores, answer):
    """Its figure, its answer and its report, and nothing of what relates the two halves."""
    (finished_study / "mine.yaml").write_text(yaml.safe_dump({half: None}))
    shutil.rmtree(finished_study / "results/figures")
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules", "--configfile", "mine.yaml")
    assert code == 0, output
    table = pd.read_csv(finished_study / "results/layers.csv")
    assert table[scores].notna().all(axis=None)
    assert [column for column in table if column.startswith("simulated" if half == "brain" else "memorability")] == []
    assert os.listdir(finished_study / "results/figures") == ["along_depth.svg"]
    assert answer in (finished_study / "results/summary.rst").read_text(encoding="utf-8")
    code, output = run_snakemake(finished_study, "--configfile", "mine.yaml", "--report", "report.html")
    assert code == 0, output
    page = (finished_study / "report.html").read_text(encoding="utf-8")
    assert "along_depth.svg" in page
    assert "correlations.csv" not in page
    assert "Untrained, tiny reaches at most" in page


def test_what_is_tried_again_gets_more_memory(rules):
    on_nodes = {name: rule["memory"] for name, rule in rules.items() if rule["memory"]}
    assert {"memorability", "brain", "generalise", "finetune", "pixels", "check_images"} < set(on_nodes)
    assert [name for name, (first, second) in on_nodes.items() if not second > first > 0] == []


def test_slurm_profile_asks_for_a_gpu_where_networks_run(rules):
    asking = {name for name, rule in rules.items() if rule["resources"].get("gres") == "gpu:1"}
    with_network = {"memorability", "brain", "generalise", "audit_layer", "write_activations", "recognition"}
    assert asking == with_network | {"finetune", "peer", "predictor", "predict_images"}


@pytest.mark.thorough
def test_run_killed_between_two_passes_resumes(tiny_study, run_snakemake, configure, add_lab_network):
    write_models(tiny_study)
    add_lab_network(tiny_study, layers="conv,penultimate")
    # Room for either layer of the 48 images, and not for both.
    configure(tiny_study, brain=None, layers_per_job=None, resources={"memory_gb": 2, "scratch_gb": 0.000787})
    wait, scratch = tiny_study / "wait", tiny_study / "scratch"
    wait.touch()
    scratch.mkdir()
    arguments = ["--cores", "1", "--quiet", "rules", "--default-resources", f"tmpdir={str(scratch)!r}"]
    run = Run(tiny_study, *arguments, "--", "memorability_scores")
    run.wait_for(lambda: wait.stat().st_size > 3)  # the first of three batches of the second pass
    run.kill()
    assert not list((tiny_study / "results").rglob("*.csv")), "a job cut short left what looks finished"
    assert not list(scratch.iterdir())

    wait.unlink()
    code, output = run_snakemake(tiny_study, *arguments, "--", "memorability_scores")
    assert code == 0, output
    table = pd.read_csv(tiny_study / "results/memorability.csv").set_index("layer")
    assert list(table.index) == ["conv", "penultimate"]
    assert table["memorability"].notna().all()


def test_a_layer_that_does_not_fit_is_refused(tiny_study, run_snakemake, configure):
    configure(tiny_study, brain=None, resources={"memory_gb": 2, "scratch_gb": 0.0001})
    # Of jobs that may all start, the scheduler takes any first.
    arguments = ["--cores", "1", "--retries", "0", "--keep-going", "memorability_scores"]
    code, output = run_snakemake(tiny_study, *arguments)
    assert code != 0
    (error,) = {line for line in output.splitlines() if line.startswith("memscore: error: layer conv1.0")}
    assert "needs 0.00079 GB" in error
    assert "raise memory_gb or scratch_gb under resources in the config" in error


def test_activations_for_use_elsewhere(finished_study, run_snakemake, configure):
    """The penultimate layer on every set, or what is asked for; nothing is scored."""
    configure(finished_study, activations=[{"model": "tiny", "layer": "layer2.0.act2", "set": "simulated"}])
    code, output = run_snakemake(finished_study, "--cores", "2", "activations")
    assert code == 0, output
    assert "Brain similarity of" not in output
    path = finished_study / "results/activations/benchmarks/simulated/tiny/layer2.0.act2.nc"
    written = xr.load_dataset(path)
    assert written["activations"].dims == ("stimulus", "feature")
    ids = pd.read_csv(finished_study / "resources/stimuli/benchmarks/simulated/stimuli.csv")["stimulus_id"]
    assert list(written["stimulus_id"].values) == list(ids)
    assert (written.attrs["layer"], written.attrs["reduction"]) == ("layer2.0.act2", "sketch 4096")
    configure(finished_study, activations=None)
    code, output = run_snakemake(finished_study, "--dry-run", "activations")
    assert {"datasets/mine/tiny/penultimate.nc", "benchmarks/simulated/tiny/penultimate.nc"} == set(
        re.findall(r"activations/(\S+penultimate.nc)$", output, re.MULTILINE)
    )


@pytest.fixture
def overlap(tiny_study, run_snakemake):
    """overlap(*arguments): whether two jobs of a network, which do nothing for two seconds, ran at once."""
    for name in ("memorability", "brain"):
        script = "import time\nstart = time.time()\ntime.sleep(2)\n"
        script += "for output in snakemake.output:\n    open(output, 'w').write(f'{start},{time.time()}')\n"
        (tiny_study / f"workflow/scripts/scores/{name}.py").write_text(script)
    targets = [path for path in jobs_of("tiny", "conv1.0", "penultimate") if re.search("memorability.*csv", path)]

    def run(*arguments) -> bool:
        code, output = run_snakemake(tiny_study, "--cores", "2", "--force", *arguments, "--", *targets)
        assert code == 0, output
        spans = sorted(tuple(map(float, (tiny_study / path).read_text().split(","))) for path in targets)
        return spans[0][1] > spans[1][0]

    return run


def test_one_job_a_card(tiny_study, overlap):
    """Two jobs on this machine's only GPU cannot happen unasked; on a cluster the limit is the cluster's."""
    common = tiny_study / "workflow/rules/common.smk"
    text = common.read_text()
    assert 'device.shared_card(config["device"])' in text
    common.write_text(text.replace('device.shared_card(config["device"])', "1"))
    assert not overlap()
    assert overlap("--resources", "local_gpu=2")


def test_scratch_of_the_jobs_at_once_has_a_limit(configure, tiny_study, overlap):
    """As the README says: no more of them run than share it."""
    configure(tiny_study, resources={"memory_gb": 2, "scratch_gb": 20})  # Memory holds no layers: each takes 1 MB.
    assert overlap("--resources", "disk_mb=2")
    assert not overlap("--resources", "disk_mb=1")


def test_principal_components_through_the_study(finished_study, run_snakemake, configure, planned):
    """Over half of the study's own images: what is new is planned, and the activations are their components."""
    configure(finished_study, reduction={"sketch": 4096, "pca": 24, "pca_images": "mine"})
    references = {
        "resources/stimuli/references/pca/stimuli.csv",
        "resources/pixels/references/pca/64x64-bilinear.npy",
    }
    assert (
        planned(finished_study)
        == references | jobs_of("tiny", "conv1.0", "layer2.0.act2", "penultimate") | AFTER_THE_LAST_JOB
    )
    before = pd.read_csv(finished_study / "results/layers.csv")
    scratch = finished_study / "scratch"
    scratch.mkdir()
    path = "results/activations/datasets/mine/tiny/conv1.0.nc"
    arguments = ("--cores", "2", "--default-resources", f"tmpdir={str(scratch)!r}")
    code, output = run_snakemake(finished_study, *arguments, "--", "all", path)
    assert code == 0, output
    table = pd.read_csv(finished_study / "resources/stimuli/references/pca/stimuli.csv")
    assert [path[-len("images/00.png") :] for path in table.path] == [f"images/{i:02d}.png" for i in range(0, 48, 2)]
    written = xr.load_dataset(finished_study / path)
    assert written.attrs["reduction"] == "sketch 4096, pca 24"
    features = written["activations"].values
    assert features.shape == (48, 23)
    # Principal components are uncorrelated over the very images that they come from.
    correlation = np.corrcoef(features[::2], rowvar=False)
    np.testing.assert_allclose(correlation, np.eye(23), atol=1e-3)
    after = pd.read_csv(finished_study / "results/layers.csv")
    assert list(after.columns) == list(before.columns)
    assert after["memorability"].notna().all()
    assert list(scratch.iterdir()) == []


def test_principal_components_over_a_folder(finished_study, run_snakemake, configure):
    configure(finished_study, reduction={"sketch": None, "pca": 48, "pca_images": "images"})
    target = "results/activations/datasets/mine/tiny/conv1.0.nc"
    code, output = run_snakemake(finished_study, "--cores", "2", target)
    assert code == 0, output
    assert xr.load_dataset(finished_study / target)["activations"].shape == (48, 47)


def test_libraries_of_jobs_are_told_of_their_machine(tiny_study, run_snakemake, monkeypatch):
    """Not of the machine that submitted them."""
    (tiny_study / "told.smk").write_text(
        'include: "Snakefile"\nrule told:\n    output: "told.json"\n    script: "told.py"\n'
    )
    (tiny_study / "told.py").write_text(
        "import json, os\njson.dump(dict(os.environ), open(snakemake.output[0], 'w'))\n"
    )
    expected = libraries.environment()
    for name in expected:
        monkeypatch.setenv(name, "1000000")
    code, output = run_snakemake(tiny_study, "--snakefile", "told.smk", "--cores", "1", "told.json")
    assert code == 0, output
    assert expected.items() <= json.loads((tiny_study / "told.json").read_text()).items()
