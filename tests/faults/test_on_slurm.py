"""Faults of a cluster, on a real Slurm: what happens to jobs, nodes and daemons in the middle of a run."""

import re
import shutil
import signal

import psutil
import pytest
import slurm_machine
import torch
from on_slurm import hold, let_go, run_on_slurm
from runs import wait_for
from safetensors.torch import load_file, save_file

pytestmark = [pytest.mark.slurm, pytest.mark.workflow]

# Takes a tenth of a second a batch on any machine.
SLOW_NETWORK = """
import time
import timm

@timm.models.register_model
def slow(pretrained=False, **kwargs):
    network = timm.create_model("test_resnet", pretrained=False, **kwargs)
    network.register_forward_pre_hook(lambda *_: time.sleep(0.1))
    return network
"""
# One layer's job takes a fifth more memory than its first try asked for, another's more than a minute unless given two.
GREEDY = """
import time
from pathlib import Path

if snakemake.wildcards.layers == "conv1.0":
    if not Path("asked").exists():
        Path("asked").write_text(str(snakemake.resources.mem_mb))
    taken = bytearray(b"x") * (1200_000 * int(Path("asked").read_text()))
else:
    while snakemake.resources.runtime == 1:
        time.sleep(1)
"""


def let_preempt(study) -> None:
    """Networks run in a partition whose jobs more important ones requeue."""
    (study / "slurm/site.yaml").write_text("gpu: {slurm_partition: requeued, gres: 'gpu:1'}\n")


def said(log) -> str:
    """What a log holds; nothing while one try's is removed for the next one's."""
    try:
        return log.read_text()
    except FileNotFoundError:
        return ""


@pytest.fixture
def study(study):
    return hold(study)


def test_job_cancelled(slurm, study, undisturbed, reached, results_of, fault):
    run = run_on_slurm(study)
    slurm("scancel", reached()[0])
    let_go(study)
    said = run.ends_well()
    assert "CANCELLED" in said
    assert "Trying to restart job" in said
    assert results_of(study) == undisturbed
    fault("a Slurm job is cancelled", "an error that says CANCELLED; the run submits the job again by itself")


def test_requeued_after_preemption(slurm, study, undisturbed, reached, results_of, fault):
    let_preempt(study)
    run = run_on_slurm(study)
    slurm.preempt(reached()[0])
    let_go(study)
    said = run.ends_well()
    assert "Trying to restart job" not in said
    assert results_of(study) == undisturbed
    fault("a job is preempted and requeued", "nothing: Slurm starts it again, and the run waits for it")


def test_status_tells_running_from_queued(slurm, study, undisturbed, reached, run_snakemake, results_of):
    """Of two jobs the node has room for one: Snakemake submitted both, and only Slurm knows which of them runs."""
    run = run_on_slurm(study, "--set-resources", "memorability:mem_mb=40000")
    reached(1)
    wait_for(lambda: any(state == "PENDING" for _, state, _ in slurm.jobs()), "job that waits for memory")
    code, output = run_snakemake(study, "status", "--profile", "slurm")
    assert code == 0, output
    assert re.search(r"^memorability +1 +3 +1 +1 +0 ", output, re.MULTILINE), output
    let_go(study)
    run.ends_well()
    assert results_of(study) == undisturbed


def test_node_drained(slurm, study, undisturbed, reached, results_of, fault):
    run = run_on_slurm(study, "--jobs", "1")
    reached(1)
    slurm("scontrol", "update", f"nodename={slurm.host}", "state=drain", "reason=test")
    let_go(study)
    wait_for(lambda: any(state == "PENDING" for _, state, _ in slurm.jobs()), "job that waits for the node")
    slurm.resume()
    said = run.ends_well()
    assert "Trying to restart job" not in said
    assert results_of(study) == undisturbed
    fault("a node is drained in the middle", "nothing: its jobs end, others wait until it, or another, is there again")


def test_node_goes_down(slurm, study, undisturbed, reached, results_of, fault):
    run = run_on_slurm(study)
    reached()
    processes = [int(file.suffix[1:]) for file in study.glob("reached.*")]
    slurm.node_down()
    wait_for(lambda: not slurm.running(), "end of the jobs")
    let_go(study)
    # It must not start a job of which it still has processes.
    wait_for(lambda: not any(map(psutil.pid_exists, processes)), "end of the processes")
    slurm.resume()
    slurm.start_now()
    run.ends_well()
    assert results_of(study) == undisturbed
    fault("a node goes down", "nothing, or an error that says NODE_FAIL; its jobs run again when a node is there")


def test_limits_of_time_and_memory(slurm, study, undisturbed, configure, results_of, fault):
    """A first try asks for too little, a second for twice as much."""
    let_go(study)
    configure(study, resources={"memory_gb": 2})
    rules, script = study / "workflow/rules/networks.smk", study / "workflow/scripts/scores/memorability.py"
    rules.write_text(rules.read_text().replace("minutes=240", "minutes=1"))
    script.write_text(GREEDY + script.read_text())
    said = run_on_slurm(study).ends_well()
    assert said.count("Trying to restart job") == 2
    assert said.count("TIMEOUT") == 1
    logs = "".join(path.read_text() for path in study.glob(".snakemake/slurm_logs/**/*.log"))
    assert "oom-kill event" in logs or not slurm_machine.cgroups()
    assert results_of(study) == undisturbed
    fault("a job reaches its time limit", "an error that says TIMEOUT; the run gives it more time, and tries it again")
    fault("a job takes more memory than it asked for", "an error; the run asks for more, and tries it again")


def test_controller_restarted(slurm, study, undisturbed, reached, results_of, fault):
    run = run_on_slurm(study)
    reached()
    slurm.stop("slurmctld")
    run.wait_for(lambda: "controller does not answer" in run.said())
    slurm.start_controller()
    let_go(study)
    run.ends_well()
    assert results_of(study) == undisturbed
    fault("slurmctld is restarted", "perhaps a warning; jobs run on meanwhile, and the run finds them again")


def test_process_of_a_job_killed(slurm, study, undisturbed, reached, results_of, fault):
    run = run_on_slurm(study)
    reached()
    psutil.Process(int(next(study.glob("reached.*")).suffix[1:])).kill()
    let_go(study)
    said = run.ends_well()
    assert "Trying to restart job" in said
    assert results_of(study) == undisturbed
    fault("kill -9 of a job on its node", "an error that says FAILED; the run submits the job again by itself")


def test_snakemake_killed(slurm, study, undisturbed, reached, results_of, fault):
    """Its jobs go on without it: they and those of the next run write the same."""
    run = run_on_slurm(study)
    reached()
    run.kill()
    let_go(study)
    run_on_slurm(study).ends_well()
    assert results_of(study) == undisturbed
    fault("kill -9 of Snakemake on the login node", "the same command goes on; jobs that were running are run again")


def test_interrupted(slurm, study, undisturbed, reached, results_of, fault):
    run = run_on_slurm(study)
    reached()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(300) != 0
    wait_for(lambda: not slurm.running(), "end of the jobs")
    let_go(study)
    run_on_slurm(study).ends_well()
    assert results_of(study) == undisturbed
    fault("Ctrl-C", "its Slurm jobs are cancelled; the same command goes on")


def test_training_preempted_three_times(slurm, make_tiny_study, configure, run_snakemake, tmp_path, fault):
    """It ends with the weights that it would have had, to the bit."""
    import timm

    torch.manual_seed(3)
    study = make_tiny_study(tmp_path / "study")
    save_file(timm.create_model("test_resnet").state_dict(), study / "tiny.safetensors")
    (study / "models.tsv").write_text("model\ttimm_name\tweights\tlayers\ntiny\tslow\ttiny.safetensors\tpenultimate\n")
    (study / "slow.py").write_text(SLOW_NETWORK)
    recipe = {"splits": [1], "epochs": 30, "patience": 30, "batch_size": 8}
    let_preempt(study)
    configure(study, brain=None, model_plugins=["slow.py"], finetune=recipe)
    weights = "resources/weights/tiny.tuned-1.safetensors"
    calm = shutil.copytree(study, tmp_path / "calm")
    run = run_on_slurm(study, targets=(weights,))
    log = study / "logs/finetune/tiny/split_1.log"
    before, times = "", 0
    for _ in range(3):
        wait_for(
            lambda before=before: (
                slurm.running("rule_finetune") and said(log) != before and re.search(r"epoch \d", said(log))
            ),
            "training",
        )
        slurm.preempt(slurm.running("rule_finetune")[0])
        before = said(log)
        times += 1
    code, output = run_snakemake(calm, "--cores", "2", "--quiet", "rules", "--", weights)
    assert code == 0, output
    run.ends_well()
    assert "goes on after step" in said(log)
    tensors, again = load_file(calm / weights), load_file(study / weights)
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    fault(
        "a fine-tuning job is preempted three times",
        f"nothing: it went on from the step at which it was stopped, {times} times, to the same weights, bit for bit",
    )
