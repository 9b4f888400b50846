"""A whole study of Brain-Score benchmarks, downloaded from a stand-in for S3 that first denies them."""

import json
import re
import shutil

import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.parity]

AREAS = ("V4", "IT")
# Python runs this in every process that finds it: the staging jobs get the benchmarks of a plugin.
HOOK = """
import sys

if "stage_stimuli" in sys.orig_argv[-1] or "stage_benchmark" in sys.orig_argv[-1]:
    import json
    from pathlib import Path

    import benchmarks2026
    import brainscore_vision

    packaged = json.loads(Path(__file__).with_name("packaged.json").read_text())
    brainscore_vision.benchmark_registry.update(benchmarks2026.registrations(packaged))
"""


@pytest.fixture
def study(tiny_study, configure, repository, s3):
    """Two models and the two benchmarks of one stimulus set, no memorability."""
    shutil.copy(repository / "tests/benchmarks2026.py", tiny_study / "workflow")
    (tiny_study / "workflow/sitecustomize.py").write_text(HOOK)
    (tiny_study / "workflow/packaged.json").write_text(json.dumps(s3.packaged))
    with open(tiny_study / "models.tsv", "a") as table:
        table.write("second\ttest_resnet\tuntrained\t\n")
    configure(
        tiny_study,
        memorability=None,
        layers_per_job=10,
        brain={"benchmarks": [f"Test2026.{area}-pls" for area in AREAS]},
    )
    return tiny_study


def check_ran(output, **times):
    """How often each rule's jobs ran; a job that is run again is counted again."""
    finished = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", output, flags=re.MULTILINE)
    assert {rule: finished.count(rule) for rule in times} == times, output


def test_brainscore_benchmarks(study, brainio_server, run_snakemake, tmp_path):
    brainio_server.fault = 403
    code, output = run_snakemake(study, "--cores", "2")
    assert code != 0
    said = [line for line in output.splitlines() if line.startswith("memscore: ")]
    assert len(said) == 1, output
    assert said[0].startswith("memscore: error: Test2026.V4-pls: its data are not there, or need")
    assert "Traceback" not in output
    assert [path for path in (study / "resources/stimuli").rglob("*") if path.is_file()] == []
    assert not (study / "resources/benchmarks").exists()

    brainio_server.fault = None
    brainio_server.requests.clear()
    files = [f"resources/benchmarks/Test2026.{area}-pls.nc" for area in AREAS]
    code, output = run_snakemake(study, "--cores", "2", *files)
    assert code == 0, output
    check_ran(output, stage_stimuli=1, stage_benchmark=2)
    fetched = [path for method, path in brainio_server.requests if method == "GET"]
    assert len(fetched) == 3, fetched

    brainio_server.stop()
    shutil.rmtree(tmp_path / "brainio")
    code, output = run_snakemake(study, "--cores", "2")
    assert code == 0, output
    check_ran(output, pixels=1, brain=2, stage_stimuli=0, stage_benchmark=0)

    layers = pd.read_csv(study / "results/layers.csv")
    assert list(layers["model"].unique()) == ["tiny", "second"]
    for area in AREAS:
        assert layers[f"Test2026.{area}-pls.score"].notna().all()
        assert layers[f"Test2026.{area}-pls.ceiling"].between(0.2, 1).all()
    for cache in (".brainio", ".brain-score", ".result_caching"):
        assert not (tmp_path / "home" / cache).exists()
