"""Faults on one machine: what is killed, full, forbidden, deleted, cut short or of another time."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs import Run, wait_for
from stand_in import JOBS, OTHER_SETTINGS, TABLE

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

# A namespace of mounts is root's, or of a user who is root in it.
APART = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
mounts = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*APART, "true"], capture_output=True).returncode != 0,
    reason="needs mounts of its own (unshare)",
)
SCORES = ("--cores", "1", "--quiet", "rules", "--", "memorability_scores")
BRAIN = ("--cores", "1", "--quiet", "rules", "--", "brain_scores")
PIXELS = "resources/pixels/datasets/mine/64x64-bilinear.npy"
WEIGHTS = "resources/weights/tiny.safetensors"
HOURS = 3600 * 3


def again(folder: Path, *arguments: str) -> str:
    """What the same command prints, which comes to its end."""
    return Run(folder, *arguments).ends_well()


def wait_for_the_second_job(run: Run) -> None:
    """Until one job is done and another has begun."""
    run.wait_for(run.jobs)
    first = run.jobs()
    run.wait_for(lambda: (now := run.jobs()) and not set(now) & set(first))


def mounted(commands: str) -> tuple[str, ...]:
    """What a command begins with that is to have mounts of its own."""
    return (*APART, "sh", "-ec", f'{commands}\nexec "$@"', "sh")


def complaint(code: int, output: str) -> str:
    """The one line of memscore's, however often a job was tried, of a run that failed without a word of Python's."""
    assert code != 0, output
    assert "Traceback" not in output, output
    (line,) = {line for line in output.splitlines() if line.startswith("memscore: error: ")}
    return line


def planned(output: str, rule: str) -> int:
    """How many jobs of a rule a run set out with."""
    return int(re.search(rf"^{rule} +(\d+)$", output, re.MULTILINE)[1])


def half_written(folder: Path) -> list[Path]:
    return [path for top in ("results", "resources") for path in (folder / top).rglob(".*")]


def test_a_job_is_killed(one_unscored, undisturbed, results_of, fault):
    run = Run(one_unscored, *SCORES)
    run.wait_for(run.jobs)
    os.kill(run.jobs()[0], signal.SIGKILL)
    code, output = run.end()
    assert code == 0, output
    assert "Trying to restart job" in output
    assert results_of(one_unscored) == undisturbed
    fault("a job is killed (`kill -9`)", "The run starts it again by itself, up to twice; there is nothing to do.")


def test_snakemake_is_killed(unscored, undisturbed, results_of, fault):
    run = Run(unscored, *SCORES)
    wait_for_the_second_job(run)
    run.process.kill()  # Its job lives on, and writes while the next run does.
    run.process.wait()
    assert list((unscored / ".snakemake/locks").iterdir())
    output = again(unscored, *SCORES)
    (said,) = [line for line in output.splitlines() if line.startswith("memscore: ") and "lock" in line]
    assert "was killed: its lock is removed" in said
    assert planned(output, "memorability") == 2
    assert results_of(unscored) == undisturbed
    assert half_written(unscored) == []
    fault(
        "Snakemake itself is killed (`kill -9`), and its jobs live on",
        "The same command says in one line that it removes the dead run's lock, and makes only what was not finished.",
    )


def test_a_late_job_changes_nothing(one_unscored, finished_original, undisturbed, results_of, run_snakemake, fault):
    """Of a run that was killed; the next one has other settings."""
    script = one_unscored / "workflow/scripts/scores/memorability.py"
    now, late = script.read_text(), OTHER_SETTINGS.format(finished=str(finished_original))
    (one_unscored / "hold.before").touch()
    script.write_text(late)
    run = Run(one_unscored, *SCORES)
    run.wait_for(lambda: list(one_unscored.glob("before.*")))
    run.process.kill()
    run.process.wait()
    script.write_text(now)
    code, output = run_snakemake(one_unscored, "--dry-run", *SCORES)
    assert code == 0, output
    assert list((one_unscored / ".snakemake/locks").glob("*.lock")), "who only looks takes no lock away"
    again(one_unscored, *SCORES)
    (one_unscored / "hold.before").unlink()
    wait_for(lambda: not run.jobs(), "end of the late job", 120)
    assert "its results are not wanted any more" in run.said()
    assert results_of(one_unscored) == undisturbed
    fault(
        "a job of a killed run ends after the next run, with other settings, has made the same table",
        "The table stays as it is; the late job says that its results are not wanted any more.",
    )


def test_ctrl_c(unscored, undisturbed, results_of, fault):
    run = Run(unscored, *SCORES)
    wait_for_the_second_job(run)
    os.killpg(run.process.pid, signal.SIGINT)
    code, output = run.end()
    assert code != 0, output
    assert run.jobs() == []
    assert half_written(unscored) == []
    output = again(unscored, *SCORES)
    assert "lock" not in output
    assert planned(output, "memorability") == 2
    assert results_of(unscored) == undisturbed
    fault("Ctrl-C", "The run and its jobs end, and no lock stays; the same command makes only what was not finished.")


@mounts
def test_scratch_is_full(finished_study, undisturbed, results_of, configure, fault):
    for path in (TABLE, JOBS[0]):
        (finished_study / path).unlink()
    configure(finished_study, resources={"memory_gb": 2, "scratch_gb": 0.05})
    (finished_study / "scratch").mkdir()
    scratch = str(finished_study / "scratch")
    command = ("--default-resources", f"tmpdir={scratch!r}", *SCORES)
    line = complaint(*Run(finished_study, *command, before=mounted("mount -t tmpfs -o size=256k tmpfs scratch")).end())
    assert "no room for" in line
    assert "in the job's tmpdir (No space left on device)" in line
    assert half_written(finished_study) == []
    again(finished_study, *command)
    assert results_of(finished_study) == undisturbed
    assert [path for path in Path(scratch).rglob("*") if path.is_file()] == []
    fault(
        "the node's scratch (`tmpdir`) is full",
        "The job ends before it computes, with one line: how much it needs, and which settings it may get it by. "
        "Make room; the same command.",
    )


def test_results_are_cut_short_and_emptied(study, undisturbed, results_of, fault):
    """While the run goes on, before it collects them: by a file server that lost what it had promised, say."""
    files = [study / path.replace("memorability/mine", "brain/simulated") for path in JOBS]
    for path in (*files, study / "results/brain.csv"):
        path.unlink()
    damages = {
        "it ends in the middle of a row": lambda whole: whole[: len(whole) - 20],
        "no row of tiny": lambda whole: b"".join(whole.splitlines(keepends=True)[:-1]),
        "the file is empty": lambda whole: b"",
    }
    run, damaged = Run(study, *BRAIN), {}
    for wrong, damage in damages.items():
        run.wait_for(lambda: any(path.exists() and path not in damaged for path in files))
        (path,) = [path for path in files if path.exists() and path not in damaged]
        path.write_bytes(damage(path.read_bytes()))
        damaged[path] = wrong
    line = complaint(*run.end())
    for path, wrong in damaged.items():
        assert f"{path.relative_to(study)} ({wrong}" in line
        assert not path.exists()
    assert "give the same command again, which makes them anew" in line
    assert not (study / "results/brain.csv").exists()
    again(study, *BRAIN)
    assert results_of(study) == undisturbed

    # Whose time did not change is not looked at: the table that it went into is whole.
    times = files[0].stat()
    files[0].write_bytes(b"")
    os.utime(files[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "Nothing to be done" in again(study, *BRAIN)
    assert (study / "results/brain.csv").read_bytes() == undisturbed["results/brain.csv"]
    fault(
        "result files of jobs are cut in the middle of a row, cut at the end of a row, or emptied",
        "Before they become a table, one line names every damaged file and what is wrong with it; they are "
        "removed, and the same command makes them again. Where a file is damaged after that, under its old time, the "
        "table stays as it was.",
    )


def test_files_of_several_kinds_are_damaged(finished_study, undisturbed, results_of, fault):
    """In a finished study: one line names them all, and the second run is the last."""
    damages = {
        JOBS[0]: ("it ends in the middle of a row", lambda whole: whole[:-20]),
        JOBS[1].replace(".csv", ".npz"): ("damaged (", lambda whole: whole[:-20]),
        JOBS[2].replace("memorability/mine", "brain/simulated"): ("the file is empty", lambda whole: b""),
        "results/consistency/mine.csv": ("it holds zeros instead of text", lambda whole: bytes(len(whole) - 1) + b"\n"),
    }
    for path, (_, damage) in damages.items():
        (finished_study / path).write_bytes(damage((finished_study / path).read_bytes()))
    command = ("--cores", "1", "--quiet", "rules")
    line = complaint(*Run(finished_study, *command).end())
    for path, (wrong, _) in damages.items():
        assert f"{path} ({wrong}" in line
        assert not (finished_study / path).exists()
    assert line.endswith("give the same command again, which makes them anew")
    output = again(finished_study, *command)
    assert [planned(output, rule) for rule in ("memorability", "brain", "consistency")] == [2, 1, 1]
    assert results_of(finished_study) == undisturbed
    assert "Nothing to be done" in again(finished_study, *command)
    fault(
        "files of several kinds (scores of memorability and of the brain, predictions, ...) are damaged in a finished "
        "study",
        "The first step that reads one of them names all in one line; they are removed, and the same command makes "
        "them again.",
    )


def test_staged_files_are_deleted(unscored, undisturbed, results_of, fault):
    run = Run(unscored, *SCORES)
    run.wait_for(lambda: any((unscored / path).exists() for path in JOBS))
    for path in (PIXELS, WEIGHTS):
        (unscored / path).unlink()
    code, output = run.end()
    assert code != 0, output
    assert "Missing files" in output, output
    assert all(f"{path} (missing locally" in output for path in (PIXELS, WEIGHTS))
    output = again(unscored, *SCORES)
    assert planned(output, "pixels") == planned(output, "stage_weights") == 1
    assert results_of(unscored) == undisturbed
    fault(
        "staged files (pixels, weights) are deleted while jobs run",
        "The run fails and names them; the same command stages them again, and makes what came of them.",
    )


@mounts
def test_results_are_read_only(one_unscored, undisturbed, results_of, fault):
    mount = "mount --bind results results\nmount -o remount,bind,ro results"
    line = complaint(*Run(one_unscored, *SCORES, before=mounted(mount)).end())
    assert line == "memscore: error: results: Read-only file system; make it writable, and give the same command again"
    again(one_unscored, *SCORES)
    assert results_of(one_unscored) == undisturbed
    fault(
        "`results` cannot be written to",
        "Before any job starts, one line names the folder and says why. Make it writable; the same command.",
    )


@mounts
def test_the_disk_is_full(one_unscored, undisturbed, results_of, fault):
    """Full when the job is to write, and then not."""
    disk = one_unscored.parent / "disk"
    disk.mkdir()
    mount = "\n".join(
        (
            f"mount -t tmpfs -o size=1m tmpfs {disk}",
            f"cp -a results/. {disk}",
            f"mount --bind {disk} results",
            "cat /dev/zero > results/filler 2> /dev/null || true",
        )
    )
    line = complaint(*Run(one_unscored, *SCORES, before=mounted(mount)).end())
    # Which of its two files the job comes to first is its own business.
    job = re.escape(JOBS[0].removesuffix("csv"))
    assert re.search(
        rf"{job}(csv|npz): No space left on device; make room there, and give the same command again", line
    )
    again(one_unscored, *SCORES)
    assert results_of(one_unscored) == undisturbed
    fault(
        "the disk of `results` is full",
        "One line names the file that found no room, and nothing half-written looks finished. Make "
        "room; the same command.",
    )


def test_two_runs_in_a_folder(one_unscored, undisturbed, results_of, run_snakemake, fault):
    first = Run(one_unscored, *SCORES)
    first.wait_for(first.jobs)
    jobs = first.jobs()
    for job in jobs:
        os.kill(job, signal.SIGSTOP)
    code, output = run_snakemake(one_unscored, *SCORES)
    for job in jobs:
        os.kill(job, signal.SIGCONT)
    assert code != 0, output
    assert "Directory cannot be locked" in output
    (said,) = [line for line in output.splitlines() if line.startswith("memscore: ")]
    assert f"process {first.process.pid} on " in said
    assert "wait for its end, or stop it with Ctrl-C" in said
    code, output = first.end()
    assert code == 0, output
    assert results_of(one_unscored) == undisturbed
    fault(
        "a second Snakemake is started in the folder",
        "It refuses, and names the process that is at work there: wait for its end, or stop it. The first "
        "is not disturbed.",
    )


# A file server's clock, for processes that import this: it is what finished and touched files have their times from.
SERVER = """
import os
import time

replace, utime = os.replace, os.utime

def replace_there(source, target, **options):
    replace(source, target, **options)
    utime_there(target)

def utime_there(path, times=None, **options):
    if times is None and "ns" not in options:
        times = (time.time() + {skew},) * 2
    utime(path, times, **options)

os.replace, os.utime = replace_there, utime_there
"""


def shift(path: Path, seconds: int) -> None:
    times = path.stat()
    os.utime(path, (times.st_atime + seconds, times.st_mtime + seconds))


@pytest.mark.parametrize("skew", [HOURS, -HOURS], ids=["ahead", "behind"])
def test_the_file_servers_clock_is_another(one_unscored, undisturbed, results_of, tmp_path, skew, fault):
    (tmp_path / "server").mkdir()
    (tmp_path / "server/sitecustomize.py").write_text(SERVER.format(skew=skew))
    there = [path for top in ("results", "resources") for path in (one_unscored / top).rglob("*") if path.is_file()]
    for path in [*there, one_unscored / "mine.csv"]:
        shift(path, skew)
    code, output = Run(one_unscored, *SCORES, PYTHONPATH=str(tmp_path / "server")).end()
    assert code == 0, output
    assert planned(output, "memorability") == 1
    assert abs((one_unscored / TABLE).stat().st_mtime - time.time() - skew) < 1800
    assert results_of(one_unscored) == undisturbed
    assert "Nothing to be done" in again(one_unscored, *SCORES)
    where = "ahead of" if skew > 0 else "behind"
    fault(
        f"the file server's clock is three hours {where} the node's",
        "Nothing: the run comes to its end, and the same command finds nothing to be done.",
    )


def test_a_staged_file_is_of_the_future(unscored, undisturbed, results_of, fault):
    shift(unscored / PIXELS, HOURS)
    code, output = Run(unscored, *SCORES).end()
    assert code != 0, output
    assert f"has older modification time ({time.strftime('%Y')}" in output
    assert f"than input {PIXELS}" in output
    assert "clock skew" in output
    assert [path for path in JOBS if (unscored / path).exists()] == []
    (unscored / PIXELS).touch()
    again(unscored, *SCORES)
    assert results_of(unscored) == undisturbed
    fault(
        "one staged file has a time hours ahead, as if written under another clock",
        "Jobs that read it fail: Snakemake names the file and says that clocks differ. `touch` it; the same command.",
    )
