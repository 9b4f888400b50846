"""Progress from files on disk, as Snakemake leaves them; tests/workflow/test_status.py has the real ones."""

import json
import os
import stat
from base64 import urlsafe_b64encode

import pytest

from memscore import progress

JOBS = [f"results/brain/set/net/{i}.csv" for i in range(4)]
LONG = f"results/brain/{'set' * 60}/{'network' * 30}/layer.csv"
HOUR = 3600
DAY = 24 * HOUR
ERROR = """Select jobs to execute...
rule brain:
    output: {0}
    log: logs/0.log

[Sat Nov 28 19:43:23 2026]
Error in rule brain:
    message: None
    jobid: 21
    input: a.csv, b.npy
    output: {0}, also.csv
    log: logs/0.log, logs/more.csv (check log file(s) for error details)
    shell:
        command
[Sat Nov 28 19:44:23 2026]
Error in rule brain:
    jobid: 3
    output: {1}
    log: logs/1.log (check log file(s) for error details)
"""


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # no squeue but a test's own
    return tmp_path


def write(path, text="", at=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    if at is not None:
        os.utime(path, (at, at))


def kept(part, job, note, at=None):
    """What Snakemake keeps of a job, in its way: `FilePersistence._record_path`."""
    name = urlsafe_b64encode(job.encode()).decode()
    pieces = [name[i : i + 254] for i in range(0, len(name), 254)]
    path = os.path.join(".snakemake", part, *(f"@{piece}" for piece in pieces[:-1]), pieces[-1])
    write(path, json.dumps(note), at)


def done(job, start, end):
    write(job, "x")
    kept("metadata", job, {"starttime": DAY + start, "endtime": DAY + end, "rule": "brain"})


def locked():
    """As by a run that started at 1000."""
    write(".snakemake/locks/0.output.lock", at=1000)


def squeue(script):
    write("bin/squeue", f"#!/bin/sh\n{script}\n")
    os.chmod("bin/squeue", stat.S_IRWXU)


def test_run_times_leave_out_what_is_not_known():
    done(JOBS[0], 10, 70)
    done(LONG, 10, 30)
    kept("metadata", JOBS[1], {"starttime": 10, "endtime": None})
    kept("metadata", JOBS[2], {"starttime": 10, "endtime": 5})
    kept("metadata", JOBS[3], {})
    write(".snakemake/metadata/" + urlsafe_b64encode(b"half.csv").decode(), '{"starttime": 1')
    write(".snakemake/metadata/not base64", "{}")
    assert progress.run_times({*JOBS, LONG, "half.csv"}) == {JOBS[0]: (DAY + 10, DAY + 70), LONG: (DAY + 10, DAY + 30)}


def test_a_jobs_log_knows_better_how_long_it_took():
    """Of a job of a cluster Snakemake knows one point in time, or of one made again when it was first made."""
    for job, log in zip(JOBS, ("x" * 500 + "\ntook 90.5 s\n", "no end\n", "took 8.0 s\nx\n", None), strict=True):
        kept("metadata", job, {"starttime": 1.0, "endtime": DAY, "log": [f"logs/{job}.log"]})
        if log:
            write(f"logs/{job}.log", log, at=DAY)
    taken = (DAY - 90.5, DAY)
    noted = (1.0, DAY)
    assert progress.run_times(JOBS) == {JOBS[0]: taken, JOBS[1]: noted, JOBS[2]: (DAY - 8, DAY), JOBS[3]: noted}
    kept("metadata", JOBS[3], {"starttime": DAY, "endtime": DAY})
    assert progress.run_times(JOBS[3:]) == {}


def test_marks_count_while_their_run_holds_the_lock():
    kept("incomplete", JOBS[0], {"external_jobid": None}, at=500)
    kept("incomplete", JOBS[1], {"external_jobid": None}, at=2000)
    kept("incomplete", "of/another/study.csv", {"external_jobid": None}, at=2000)
    assert progress.look({"brain": JOBS}).running == {}
    locked()
    seen = progress.look({"brain": JOBS})
    assert (seen.running, seen.queued, seen.started) == ({JOBS[1]: 2000}, {}, 1000)


QUEUE = """1|name|RUNNING|None|n1|/|rule_brain_wildcards_a
22|name|PENDING|QOSMaxWallDurationPerJobLimit||/|rule_brain_wildcards_b
33|name|PENDING|Priority||/|rule_of_another_run"""


@pytest.mark.parametrize("says", [None, QUEUE, "slurm is down"])
def test_jobs_of_a_cluster_wait_until_they_start(says):
    """A job that has started has no number; where squeue can be asked, one that has just started still has its."""
    for job, number in zip(JOBS, ("1", "22", None, "4"), strict=True):
        kept("incomplete", job, {"external_jobid": number}, at=2000)
    locked()
    if says:
        squeue(f"/bin/cat <<.\n{says}\n.\nexit {int('down' in says)}")
    seen = progress.look({"brain": JOBS})
    assert set(seen.queued) == ({JOBS[1]} if says and "RUNNING" in says else {JOBS[0], JOBS[1], JOBS[3]})
    assert set(seen.running) | set(seen.queued) == set(JOBS)
    assert not set(seen.running) & set(seen.queued)

    told = ["  1 job of rule brain: QOSMaxWallDurationPerJobLimit, which does not go away by itself"]
    assert progress.why_queued(seen) == (["", "Queued, says Slurm", *told] if says == QUEUE else [])


def test_a_slow_squeue_is_not_waited_for(monkeypatch):
    kept("incomplete", JOBS[0], {"external_jobid": "1"}, at=2000)
    locked()
    squeue("exec /bin/sleep 30")
    monkeypatch.setattr(progress, "SQUEUE_SECONDS", 0.2)
    assert set(progress.look({"brain": JOBS}).queued) == {JOBS[0]}


def test_failed_is_what_the_last_run_left_undone():
    write(".snakemake/log/2026-01-01T1.snakemake.log", ERROR.format(JOBS[2], JOBS[3]))
    write(".snakemake/log/2026-01-02T1.snakemake.log", ERROR.format(JOBS[0], JOBS[1]))
    write(".snakemake/log/2026-01-03T1.snakemake.log", "Unlocked working directory.\n")
    assert progress.look({"brain": JOBS}).failed == {JOBS[0]: "logs/0.log, logs/more.csv", JOBS[1]: "logs/1.log"}
    done(JOBS[0], 1, 2)
    assert progress.look({"brain": JOBS}).failed == {JOBS[1]: "logs/1.log"}
    kept("incomplete", JOBS[1], {}, at=2000)
    locked()
    assert progress.look({"brain": JOBS}).failed == {}, "it is tried again"


def test_of_many_failures_ten_are_named():
    jobs = [f"results/{i}.csv" for i in range(13)]
    log = ".snakemake/log/1.snakemake.log"
    blocks = (f"Error in rule a:\n    output: {job}\n    log: logs/{i}.log (check log\n" for i, job in enumerate(jobs))
    write(log, "Select jobs to execute...\n" + "".join(blocks))
    lines = progress.report({"brain": jobs}, ["brain"], False)
    start = lines.index("Failed, says")
    assert lines[start + 1 : start + 12] == [*(f"  logs/{i}.log" for i in range(10)), f"  and 3 more: {log}"]


def test_failures_that_snakemake_keeps_quiet_about_are_mentioned():
    log = ".snakemake/log/1.snakemake.log"
    write(log, "Select jobs to execute...\nRuleException:\nCalledProcessError in file\n")
    said = progress.report({"brain": JOBS}, [], False)
    assert f"Some jobs failed at least once; which, --quiet rules left out: {log}" in said
    write(log, "Select jobs to execute...\n1 of 4 steps (25%) done\n")
    assert "failed at" not in "".join(progress.report({"brain": JOBS}, [], False))


def test_left_is_the_mean_of_each_stage_and_says_what_it_does_not_know():
    done(JOBS[0], 0, HOUR)
    done(JOBS[1], 0, 3 * HOUR)
    seen = progress.look({"brain": JOBS, "pixels": ["resources/a.npy"]})
    assert progress.left(seen) == (4 * HOUR, ["pixels"])
    assert progress.at_once(seen) == pytest.approx(1)
    lines = "\n".join(progress.report({"brain": JOBS, "pixels": ["resources/a.npy"]}, ["brain"], True))
    assert "4.0 GPU-hours so far" in lines
    assert "4.0 h of jobs, or 4.0 h with 1.0 at once" in lines
    assert "no job done yet to judge by: pixels" in lines
    assert "75%  results/brain/set/net/1.csv" in lines


def test_of_a_finished_study_nothing_is_left():
    """Whatever was cleaned away of what led to it; while a run goes on, it may be for a model that was added."""
    done(JOBS[0], 0, HOUR)
    write("results/summary.rst", "x")
    stages = {"brain": JOBS, "tables": ["results/summary.rst"]}
    assert progress.left(progress.look(stages)) == (0, [])
    write(".snakemake/locks/0.output.lock")
    assert progress.left(progress.look(stages)) == (3 * HOUR, [])


def test_how_many_ran_at_once_lately():
    """In the last hour, whatever was before."""
    spans = [(0, HOUR)] * 8 + [(9 * HOUR, 10 * HOUR), (9.5 * HOUR, 10 * HOUR), (5 * HOUR, 10 * HOUR)]
    jobs = [f"results/{i}.csv" for i in range(len(spans))]
    for job, (start, end) in zip(jobs, spans, strict=True):
        done(job, start, end)
    assert progress.at_once(progress.look({"brain": jobs})) == pytest.approx(2.5, rel=0.01)
    write(".snakemake/locks/0.output.lock", at=DAY + 9.5 * HOUR)
    assert progress.at_once(progress.look({"brain": jobs})) == pytest.approx(3, rel=0.01), "of this run"


def test_where_nothing_is_known_nothing_is_said():
    assert progress.at_once(progress.look({"brain": JOBS})) == 0
    text = "\n".join(progress.report({"brain": JOBS, "pixels": []}, ["brain"], False))
    for word in ("Left", "judge", "Failed", "takes most", "scratch", "pixels"):
        assert word not in text


def test_disk_of_files_and_scratch_of_running_jobs():
    write(JOBS[0], "x" * 10**6)
    os.makedirs("elsewhere")
    write("elsewhere/a.npy", "x" * 10**6)
    os.makedirs("resources")
    os.symlink("../elsewhere", "resources/pixels")
    os.symlink("gone", "resources/dangling")
    kept("incomplete", JOBS[1], {}, at=2000)
    locked()
    sizes = progress.disk("results", "resources", "nowhere")
    assert sizes[JOBS[0]] >= 10**6
    assert sizes["resources/pixels/a.npy"] >= 10**6
    lines = progress.report({"brain": JOBS}, [], False, scratch={JOBS[1]: 2 * 10**9}.get)
    assert "Disk: results/ 0.00 GB, resources/ 0.00 GB; scratch of running jobs: 2.00 GB or less" in lines


def test_durations_in_the_unit_that_suits_them():
    assert [progress.span(s) for s in (-1, 9, 130, 2 * HOUR, 100 * HOUR)] == ["0 s", "9 s", "2.2 min", "2.0 h", "4.2 d"]
