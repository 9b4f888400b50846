"""What a person sees when something is wrong: one line that says what and how to mend it, and nothing half-made."""

import pandas as pd
import pytest

pytestmark = pytest.mark.workflow

PIXELS = "resources/pixels/datasets/mine/64x64-bilinear.npy"
WEIGHTS = "resources/weights/tiny.safetensors"
REFERENCES = "resources/stimuli/references/pca/stimuli.csv"
MINE = "resources/stimuli/datasets/mine"


def files(folder) -> list[str]:
    """Everything that a run made there."""
    made = [path for top in ("resources", "results") for path in (folder / top).rglob("*")]
    return [str(path.relative_to(folder)) for path in made if path.is_file() and "resources/layers" not in str(path)]


def complaint(run, words) -> str:
    """The one line of memscore's in the output of a run that failed."""
    code, output = run
    assert code != 0, output
    said = [line for line in output.splitlines() if line.startswith("memscore: ")]
    # While the study is read there is nothing else; a job may have said how far it came before.
    said = [line for line in said if line.startswith("memscore: error: ")] or said
    assert len(said) == 1, output
    for word in words:
        assert word in said[0]
    assert "Traceback" not in output
    return said[0]


def check_refused_at_once(folder, run_snakemake, words) -> None:
    """Refused while the study is read: no job runs, nothing is made, and our code is not shown."""
    run = run_snakemake(folder, "--cores", "2")
    complaint(run, words)
    assert "common.smk" not in run[1]
    assert files(folder) == []


def test_unknown_timm_model(tiny_study, run_snakemake):
    (tiny_study / "models.tsv").write_text("model\ttimm_name\tweights\nmine\ttf_efficientnet_lte0\tuntrained\n")
    words = ["models.tsv: model 'mine'", "'tf_efficientnet_lte0'", "tf_efficientnet_lite0"]
    check_refused_at_once(tiny_study, run_snakemake, words)


def test_key_given_twice(tiny_study, run_snakemake):
    with open(tiny_study / "config/config.yaml", "a") as file:
        file.write("seed: 7\n")
    check_refused_at_once(tiny_study, run_snakemake, ["config/config.yaml: line", "seed is there twice", "keep one"])


def test_weights_of_a_package_that_is_not_there(tiny_study, run_snakemake):
    (tiny_study / "models.tsv").write_text("model\ttimm_name\tweights\nmine\ttest_resnet\tpip:not-installed\n")
    words = ["models.tsv: model 'mine'", "pip install not-installed"]
    check_refused_at_once(tiny_study, run_snakemake, words)


def test_bad_image_in_the_middle(tiny_study, run_snakemake):
    image = tiny_study / "images/24.png"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    (tiny_study / "images/30.png").write_bytes(b"")
    words = ["2 of 48 images of mine", f"{MINE}/bad_images.csv", str(image), "truncated", "replace them", "skip"]
    complaint(run_snakemake(tiny_study, "--cores", "2", PIXELS), words)
    assert set(files(tiny_study)) == {f"{MINE}/{name}.csv" for name in ("staged", "images", "bad_images")}
    bad = pd.read_csv(tiny_study / MINE / "bad_images.csv")
    assert list(bad["stimulus_id"]) == ["images/24.png", "images/30.png"]
    assert "the file is empty" in bad["problem"][1]
    assert str(image) in (tiny_study / "logs/select_stimuli/mine.log").read_text()

    (tiny_study / "images/30.png").write_bytes(whole)

    image.write_bytes(whole)
    code, output = run_snakemake(tiny_study, "--cores", "2", PIXELS)
    assert code == 0, output
    assert PIXELS in files(tiny_study)


def test_layers_that_say_nothing_do_not_stop_the_study(finished_study, run_snakemake, configure, add_lab_network):
    add_lab_network(finished_study, layers="*")
    configure(finished_study, layers_per_job=5)
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    table = pd.read_csv(finished_study / "results/layers.csv")
    lab = table[table["model"] == "lab"].set_index("layer")
    assert list(lab.index) == ["conv", "constant", "broken", "penultimate", "fc"]
    splits = [f"memorability_split_{k}" for k in (1, 2)]
    scores = [
        "memorability",
        *splits,
        *(f"simulated.{area}.{what}" for area in ("V1", "IT") for what in ("raw", "score")),
    ]
    assert lab.loc[["constant", "broken"], scores].isna().all(axis=None)
    assert lab.loc[["conv", "penultimate", "fc"], scores].notna().all(axis=None)
    assert lab["note"].fillna("").to_dict() == {
        "conv": "",
        "constant": "constant",
        "broken": "not finite",
        "penultimate": "",
        "fc": "",
    }
    assert table.loc[table["model"] == "tiny", "memorability"].notna().any()
    summary = (finished_study / "results/summary.rst").read_text()
    assert "``constant``: constant" in summary
    assert "``broken``: not finite" in summary


def test_too_few_reference_images(tiny_study, run_snakemake, configure):
    configure(tiny_study, reduction={"pca": 1000, "pca_images": "images"})
    words = ["config: reduction: pca_images: images has 48 images, pca: 1000", "lower pca"]
    complaint(run_snakemake(tiny_study, "--cores", "2", REFERENCES), words)
    assert files(tiny_study) == []

    configure(tiny_study, reduction={"pca": 1000, "pca_images": "mine"})
    words = ["config: reduction: pca_images: mine has 48 images, pca: 1000", "lower pca"]
    complaint(run_snakemake(tiny_study, "--cores", "2", REFERENCES), words)
    assert REFERENCES not in files(tiny_study)
    assert f"{MINE}/stimuli.csv" in files(tiny_study)
