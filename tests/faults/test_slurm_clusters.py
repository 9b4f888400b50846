"""A cluster as it is, on a real Slurm: limits, preemption, jobs that are forgotten, and runs that died."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from on_slurm import hold, let_go, run_on_slurm
from runs import wait_for
from stand_in import OTHER_SETTINGS, STAND_IN

pytestmark = [pytest.mark.slurm, pytest.mark.workflow]

SCRIPT = "workflow/scripts/scores/memorability.py"
FAILS = OTHER_SETTINGS.replace("    time.sleep(0.5)", "    raise ValueError('late')")
SCORES = ("memorability_scores", "brain_scores")
BRAIN = ["results/brain.csv", "results/brain/simulated/tiny/conv1.0.csv"]


@pytest.fixture
def study(study):
    return hold(study)


def site(study, **gpu):
    """What jobs that run networks ask of the cluster, beside a GPU."""
    (study / "slurm/site.yaml").write_text(f"gpu: {json.dumps({'slurm_partition': 'gpu', 'gres': 'gpu:1'} | gpu)}\n")


@pytest.fixture(autouse=True)
def impatient(study):
    """What a run waits a minute for, it waits a few seconds for."""
    for module, second in (("wanted", "BEAT = 20"), ("executor", "PATIENCE = 60")):
        file = study / f"workflow/memscore/{module}.py"
        text = file.read_text()
        assert second in text
        file.write_text(text.replace(second, second[:-1]))


def says(run, words, seconds=300):
    run.wait_for(lambda: words in run.said(), seconds)


def mine(output):
    return [line for line in output.splitlines() if line.startswith("memscore: ")]


@pytest.fixture
def left(slurm, study, finished_original):
    """left(script): Snakemake was killed while two jobs, by a script of other settings, were at work."""

    def leave(script=OTHER_SETTINGS):
        (study / "hold").unlink()
        (study / "hold.before").touch()
        site(study, gres=None)  # there are two GPUs
        (study / SCRIPT).write_text(script.format(finished=str(finished_original)))
        run = run_on_slurm(study)
        wait_for(lambda: len(list(study.glob("before.*"))) == 2, "jobs at work")
        run.kill()
        (study / SCRIPT).write_text(STAND_IN.format(finished=str(finished_original)))
        return slurm.running("rule_memorability")

    return leave


def test_what_a_killed_run_left_is_cancelled(slurm, study, undisturbed, left, results_of, fault):
    numbers = left()
    assert len(numbers) == 2
    run = run_on_slurm(study)
    said = run.ends_well()
    assert f"left 2 jobs on Slurm ({', '.join(numbers)}): cancelling them" in said
    assert [numbers[0], "CANCELLED"] in [job[:2] for job in slurm.jobs("--states=all")]
    let_go(study)
    (study / "hold.before").unlink()
    assert results_of(study) == undisturbed
    fault(
        "Snakemake is killed, a setting is changed, and the same command given again",
        "one line: the jobs that the dead run left are cancelled; none of their results stays",
    )


@pytest.mark.parametrize(("script", "how"), [(OTHER_SETTINGS, "ends"), (FAILS, "fails")], ids=["ends", "fails"])
def test_late_jobs_change_nothing(slurm, study, undisturbed, left, results_of, script, how, fault):
    """The folder has two names, as on login nodes that mount it differently: the jobs are not known to be of it."""
    numbers = left(script)
    alias = study.parent / "alias"
    alias.mkdir()
    subprocess.run(["mount", "--bind", study, alias], check=True)
    try:
        said = run_on_slurm(alias).ends_well()
        assert "cancelling" not in said
        assert numbers == slurm.running("rule_memorability")
        (study / "hold.before").unlink()
        wait_for(lambda: not slurm.running(), "end of the late jobs", 120)
    finally:
        subprocess.run(["umount", "--lazy", alias], check=True)
    assert {job[1] for job in slurm.jobs("--states=all") if job[0] in numbers} == {"FAILED"}
    assert results_of(study) == undisturbed
    fault(
        f"a job of a dead run, that could not be cancelled, {how} after the next run has made its table",
        "nothing: the table stays as it is",
    )


def test_another_login_nodes_lock(slurm, study, undisturbed, left, results_of, run_snakemake, fault):
    left()
    (note,) = (study / ".snakemake/locks").glob("*.run")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"host": "login2 pid:[1]"}))
    os.utime(note, (1, 1))
    code, output = run_snakemake(study, "--profile", "slurm", "--", "memorability_scores")
    assert code != 0
    (said,) = mine(output)
    assert "on login2, of which nothing was heard for" in said
    assert "snakemake --unlock" in said
    run_snakemake(study, "--unlock")
    let_go(study)
    said = run_on_slurm(study).ends_well()
    assert "left 2 jobs on Slurm" in said
    assert results_of(study) == undisturbed
    fault(
        "a run on another login node dies",
        "one line: which process on which node holds the lock, for how long nothing was heard of it, and that "
        "`snakemake --unlock` removes it; then the same command, which cancels the jobs it left",
    )


def test_preempted_for_good(slurm, study, undisturbed, reached, results_of, fault):
    site(study, slurm_partition="cancelled")
    run = run_on_slurm(study)
    slurm.preempt(reached()[0])
    let_go(study)
    said = run.ends_well()
    assert "PREEMPTED" in said
    assert "Trying to restart job" in said
    assert results_of(study) == undisturbed
    fault("a job is preempted where preemption cancels", "an error that says PREEMPTED; the run submits the job again")


@pytest.mark.parametrize("slurm_session", ["no accounts"], indirect=True)
def test_forgotten_jobs(slurm, study, undisturbed, reached, results_of, fault):
    """One ended well and one did not, and neither queue nor accounts know of them when the run looks again."""
    slurm.configure(MinJobAge=2)
    run = run_on_slurm(study, "--latency-wait", "5")
    number = reached()[0]
    run.process.send_signal(signal.SIGSTOP)
    slurm("scancel", number)
    let_go(study)
    wait_for(lambda: not slurm.jobs("--states=all"), "purge")
    run.process.send_signal(signal.SIGCONT)
    said = run.ends_well()
    assert said.count("unknown to Slurm by now, and no results of it") == 1
    assert said.count("Trying to restart job") == 1
    assert results_of(study) == undisturbed
    fault(
        "without accounts: jobs end, and Slurm forgets them, while the run sleeps",
        "nothing for one whose results are there; an error for another, and the run submits it again",
    )


@pytest.mark.parametrize("known", [True, False], ids=["asked", "refused"])
def test_as_many_jobs_as_a_limit_lets(slurm, study, undisturbed, results_of, known, fault):
    slurm.limit(MaxSubmitJobs=1)
    let_go(study)
    environment = {} if known else {"PATH": slurm.commands_without(study.parent / "bin", "sacctmgr")}
    said = run_on_slurm(study, **environment).ends_well()
    assert "Trying to restart job" not in said
    assert ("lets you have 1 job in" if known else "takes no more jobs now (AssocMaxSubmitJobLimit)") in said
    assert results_of(study) == undisturbed
    fault(
        f"more jobs than your account may have in the queue; Slurm {'tells' if known else 'does not tell'} how many",
        "one line; the others wait until there is room, none fails",
    )


def test_waiting_for_ever(slurm, study, undisturbed, results_of, run_snakemake, fault):
    """For a QOS that lets no job run so long, and a partition that is others'; mended, the study goes on."""
    let_go(study)
    for path in BRAIN:
        (study / path).unlink()
    reasons = {"memorability": "QOSMaxWallDurationPerJobLimit", "brain": "account not permitted to use this partition"}
    asks = ("--set-resources", "memorability:qos=short", "brain:slurm_partition=theirs")
    run = run_on_slurm(study, *asks, targets=SCORES)
    run.wait_for(lambda: run.said().count("for what will not come by itself") == 2, 150)
    code, status = run_snakemake(study, "status", "--profile", "slurm")
    assert code == 0, status
    for rule, reason in reasons.items():
        assert any(f"rule {rule}: " in line and reason in line for line in mine(run.said()))
        assert re.search(rf"jobs? of rule {rule}: .*{reason}.*, which does not go away by itself", status), status
        fault(
            f"jobs wait for ever ({reason})", "after a minute one line, with Slurm's reason; `snakemake status` has it"
        )
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(120) != 0
    assert slurm.jobs() == []
    run_on_slurm(study, targets=SCORES).ends_well()
    assert results_of(study) == undisturbed


def test_a_node_that_comes_back(slurm, study, undisturbed, reached, results_of, fault):
    site(study, slurm_extra="--no-requeue")
    run = run_on_slurm(study)
    reached()
    slurm.node_down()
    let_go(study)
    says(run, "NODE_FAIL")
    slurm.resume()
    said = run.ends_well()
    assert "Requested node configuration is not available" not in said
    assert results_of(study) == undisturbed
    fault(
        "the only node goes down and comes back, and nothing is requeued",
        "an error that says NODE_FAIL; the run submits its jobs again",
    )


def test_no_controller_at_the_start(slurm, study, undisturbed, results_of, fault):
    let_go(study)
    slurm.stop("slurmctld")
    run = run_on_slurm(study)
    says(run, "Slurm's controller does not answer (slurm_load_jobs error")
    slurm.start_controller()
    run.ends_well()
    assert results_of(study) == undisturbed
    fault("slurmctld is away when a run begins", "one line; the run waits for it")


def test_no_controller_at_a_submission(slurm, study, undisturbed, reached, results_of, fault):
    """Away when the second of two jobs is submitted."""
    run = run_on_slurm(study, "--jobs", "1")
    reached(1)
    slurm.stop("slurmctld")
    let_go(study)
    says(run, "controller does not answer")
    slurm.start_controller()
    said = run.ends_well()
    assert "Trying to restart job" not in said
    assert results_of(study) == undisturbed
    fault("slurmctld is away when jobs end, and others are to be submitted", "one line; the run waits for it")


def test_no_sacct(slurm, study, undisturbed, results_of, fault):
    let_go(study)
    path = slurm.commands_without(study.parent / "bin", "sacct", "sacctmgr", "sshare")
    said = run_on_slurm(study, PATH=path).ends_well()
    assert "Traceback" not in said
    assert results_of(study) == undisturbed
    fault("`sacct` is not on PATH", "nothing: `squeue` tells what it knows, the jobs' files the rest")


def test_a_node_without_the_environment(slurm, study, undisturbed, results_of, fault):
    """It is mounted on the login node alone."""
    let_go(study)
    environment = study.parent / "environment"
    environment.mkdir()
    mount = f'mount --bind {sys.prefix} {environment} && exec "$@"'
    here_alone = ("unshare", "--mount", "bash", "-c", mount, "here")
    code, output = run_on_slurm(study, before=here_alone, python=f"{environment}/bin/python").end()
    assert code != 0
    (line,) = mine(output)
    assert f"job of rule memorability failed before its own log began (FAILED on {slurm.host})" in line
    assert re.search(f"{environment}/bin/python: (not found|No such file)", line)
    assert output.count("It has no log of its own; Slurm's ends:") == 6
    run_on_slurm(study).ends_well()
    assert results_of(study) == undisturbed
    fault("a node does not see the environment", "one line: the node, and the last words of Slurm's log")
