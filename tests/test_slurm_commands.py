"""What is made of the answers of Slurm's commands; tests/faults has the real ones."""

import itertools

import pytest

from memscore import slurm
from memscore.errors import InputError


@pytest.fixture(autouse=True)
def only_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm.most_jobs.cache_clear()


@pytest.fixture
def command(tmp_path):
    """command(name, says, status=0): a command that says so; calls() lists what it was called with."""

    def make(name, says, status=0):
        path, calls = tmp_path / name, tmp_path / f"{name}.calls"
        path.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n/bin/cat <<.\n{says}\n.\nexit {status}\n')
        path.chmod(0o755)
        return lambda: calls.read_text().splitlines()

    return make


def line(number, state, reason="None", rule="brain"):
    return f"{number}|a_name|{state}|{reason}||/some/where|rule_{rule}_wildcards_a|b"


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("CANCELLED by 0", "CANCELLED"),
        ("CANCELLED+", "CANCELLED"),
        ("OUT_OF_ME+", "OUT_OF_MEMORY"),
        ("NODE_FAIL", "NODE_FAIL"),
        ("RUNNING", "RUNNING"),
        ("", ""),
    ],
)
def test_a_state_is_its_first_word(said, state):
    assert slurm.word(said) == state


def test_the_queue_is_read_whatever_a_comment_holds(command):
    command("squeue", f"CLUSTER: other\n{line(1, 'PENDING', 'Priority')}\n{line(22, 'CANCELLED by 0')}")
    one, two = slurm.queue().values()
    assert (one.number, one.rule, one.folder, one.reason, one.waits) == ("1", "brain", "/some/where", "Priority", True)
    assert (two.state, two.waits) == ("CANCELLED", False)


def test_no_answer_is_not_an_empty_queue(command):
    assert slurm.queue() is None
    command("squeue", "", status=1)
    assert slurm.queue() is None
    command("squeue", "")
    assert slurm.queue() == {}


def test_only_ends_are_taken_from_the_accounts(command):
    """A job that the queue has forgotten may still stand there as running."""
    calls = command("sacct", "1|CANCELLED by 1000\n2|RUNNING\n3|COMPLETED\n4|PREEMPTED\n5|REQUEUED")
    assert slurm.ends("12345") == {"1": "CANCELLED", "3": "COMPLETED", "4": "PREEMPTED"}
    assert len(calls()) == 1
    assert slurm.ends([]) == {}


@pytest.mark.parametrize(
    ("reason", "for_ever"),
    [
        ("QOSMaxWallDurationPerJobLimit", True),
        ("AssocMaxWallDurationPerJobLimit", True),
        ("QOSMaxGRESPerJob", True),
        ("PartitionTimeLimit", True),
        ("AccountNotAllowed", True),
        ("QOSNotAllowed", True),
        ("InvalidAccount", True),
        ("InvalidQOS", True),
        ("Job's account not permitted to use this partition (theirs allows other not root)", True),
        ("PartitionConfig", True),
        ("BadConstraints", True),
        ("DependencyNeverSatisfied", True),
        ("JobHeldUser", True),
        ("launch failed requeued held", True),
        ("AssocGrpCPUMinutesLimit", True),
        ("Priority", False),
        ("Resources", False),
        ("BeginTime", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("AssocGrpCpuLimit", False),
        ("QOSGrpCPURunMinutesLimit", False),
        ("QOSMaxSubmitJobPerUserLimit", False),
        ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions", False),
    ],
)
def test_reasons_that_do_not_go_away_by_themselves(command, reason, for_ever):
    command("squeue", f"{line(1, 'PENDING', reason)}\n{line(2, 'RUNNING', reason)}")
    waits, runs = slurm.queue().values()
    assert (waits.for_ever, runs.for_ever) == (for_ever, False)
    assert slurm.reasons([waits, waits, runs]) == {("brain", reason): 2}


@pytest.mark.parametrize(
    ("said", "for_now"),
    [
        ("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: ...", True),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", True),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", True),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.", True),
        ("Batch job submission failed: Invalid account or account/partition combination specified", False),
        ("Batch job submission failed: Requested node configuration is not available", False),
    ],
)
def test_refusals_that_are_waited_for(said, for_now):
    assert (slurm.refused_for_now(said, any_in_queue=True) is not None) == for_now


def test_a_refusal_without_a_name_is_waited_for_while_jobs_end():
    """It may be a limit of how many, or of how long: then nothing would ever change."""
    said = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    assert slurm.refused_for_now(said, any_in_queue=True)
    assert slurm.refused_for_now(said, any_in_queue=False) is None
    named = f"sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: {said}"
    assert slurm.refused_for_now(named, any_in_queue=True) is None


@pytest.mark.parametrize(
    ("account", "qos", "most"), [("", "", 40), ("lab", "", 40), ("big", "", 100), ("", "short", 7), ("poor", "", 3)]
)
def test_the_least_of_a_users_limits(tmp_path, account, qos, most):
    """Of the account that is named, or the user's own; of its QOS, or the one that is named."""
    users = ["lab|lab|100|normal", "big|lab||high", "poor|lab|3|normal"]
    shown = [each for each in users if not account or each.startswith(account)]
    limits = {"normal": "normal|40||", "high": "high|||100", "short": "short|9|7|"}
    script = ["#!/bin/sh", 'case "$*" in']
    script += [f'*"show qos"*"name={name} "*) echo "{row}";;' for name, row in limits.items()]
    script += [f'*"show user"*) echo "{chr(10).join(shown)}";;', "esac"]
    (tmp_path / "sacctmgr").write_text("\n".join(script))
    (tmp_path / "sacctmgr").chmod(0o755)
    assert slurm.most_jobs(account, qos) == most


def test_without_accounts_there_is_no_limit():
    assert slurm.most_jobs("", "") is None


def test_cancelled_jobs_are_waited_for(command, monkeypatch):
    states = itertools.chain(["RUNNING", "COMPLETING"], itertools.repeat("CANCELLED"))
    calls = command("scancel", "")
    monkeypatch.setattr(slurm, "sleep", lambda seconds: command("squeue", line(1, next(states))))
    command("squeue", line(1, "RUNNING"))
    assert slurm.cancel(["1", "2"], seconds=60) == set()
    assert calls()[0] == "1 2"
    command("squeue", line(1, "COMPLETING"))
    assert slurm.cancel(["1"], seconds=0) == {"1"}


def test_an_absent_controller_is_waited_for(command, monkeypatch, capsys):
    said = []
    command("squeue", "slurm_load_jobs error: Unable to contact slurm controller", status=1)
    monkeypatch.setattr(slurm, "sleep", lambda seconds: command("squeue", ""))
    slurm.wait_for_controller(said.append)
    assert said == ["Slurm's controller does not answer (no word): waiting for it"]
    slurm.wait_for_controller(said.append)
    assert len(said) == 1


def test_no_slurm_or_another_is_said(tmp_path):
    with pytest.raises(InputError, match="no squeue here"):
        slurm.wait_for_controller(print)
    (tmp_path / "squeue").write_text("#!/bin/sh\necho \"squeue: unrecognized option '--me'\" >&2; exit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    with pytest.raises(InputError, match="unrecognized option"):
        slurm.wait_for_controller(print)
