"""A network of the Hugging Face hub: it is asked where there is a network, once, and never by a job on a node."""

import hashlib
import json
import shutil

import pytest
import timm
from safetensors.torch import save

pytestmark = pytest.mark.workflow

COMMIT = "8d5a29aa6c4f44d3a2b9c1e07a4f6b1d5c3e2f10"


@pytest.fixture
def hub(serve, start_forks, tmp_path):
    """A hub on loopback with one network, `lab/net`, of seven classes; nothing is cached."""
    network = timm.create_model("test_resnet", num_classes=7)
    config = {"architecture": "test_resnet", "num_classes": 7, "pretrained_cfg": network.pretrained_cfg}
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": save(network.state_dict())}

    def answer(method, path, headers):
        folder, _, name = path.rpartition("/")
        if folder not in ("/lab/net/resolve/main", f"/lab/net/resolve/{COMMIT}") or name not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        tag = hashlib.sha256(files[name]).hexdigest()
        return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}, files[name]

    server = serve(answer)
    server.told = start_forks(HF_ENDPOINT=server.url, HF_HOME=str(tmp_path / "hub"), HF_HUB_DISABLE_XET="1")
    return server


def study_of(tiny_study, name):
    row = f"net\t{name}\ttimm\tconv1.0,penultimate,fc\n"
    (tiny_study / "models.tsv").write_text("model\ttimm_name\tweights\tlayers\n" + row)
    return tiny_study


@pytest.mark.parametrize("name", ["hf-hub:lab/net", f"hf-hub:lab/net@{COMMIT}"])
def test_jobs_need_no_hub(tiny_study, hub, tmp_path, name):
    study, run_snakemake = study_of(tiny_study, name), hub.told.snakemake
    code, output = run_snakemake(study, "--cores", "1", "--quiet", "rules", "--", "resources/weights/net.safetensors")
    assert code == 0, output
    hub.stop()
    shutil.rmtree(tmp_path / "hub")
    code, output = run_snakemake(study, "--cores", "2", "--quiet", "rules", "--", "memorability_scores")
    assert code == 0, output
    scores = (study / "results/memorability.csv").read_text()
    assert "\nnet,fc," in scores
    code, output = run_snakemake(study, "--cores", "1", "--quiet", "rules", "--", "results/provenance/weights/net.json")
    assert code == 0, output
    noted = json.loads((study / "results/provenance/weights/net.json").read_text())
    assert (noted["source"], noted["revision"]) == ("timm", COMMIT)


def test_a_hub_that_does_not_know_is_told_in_a_line(tiny_study, hub):
    code, output = hub.told.snakemake(study_of(tiny_study, "hf-hub:lab/other"), "--dry-run")
    assert code != 0
    assert "hf-hub:lab/other: the hub does not say what it is: " in output
    assert "Traceback" not in output
