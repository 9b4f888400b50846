"""A lock goes by itself where it is certain that nobody holds it, and nowhere else."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from runs import wait_for

from memscore import lock, wanted


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder with a lock of Snakemake's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(wanted.RUN, "")  # what a note sets goes with the test
    monkeypatch.setattr(wanted, "BEAT", 0.01)
    lock.LOCKS.mkdir(parents=True)
    (lock.LOCKS / "0.output.lock").write_text("results/a.csv\n")
    yield lock.LOCKS
    lock.end()


def noted(folder, **changes) -> None:
    """A note of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    note = {"host": lock.host(), "pid": process.pid, "started": "1", "held": ["0.output.lock"]} | changes
    (folder / f"{note['pid']}.run").write_text(json.dumps(note))


@pytest.mark.parametrize("number_is_another_process_by_now", [False, True])
def test_of_a_dead_run_it_goes(locked, capsys, number_is_another_process_by_now):
    noted(locked, **({"pid": os.getpid()} if number_is_another_process_by_now else {}))
    lock.release()
    assert not locked.exists()
    assert "its lock is removed" in capsys.readouterr().err


@pytest.mark.parametrize("another_host", [False, True])
def test_of_a_run_at_work_or_on_another_host_it_stays(locked, capsys, another_host):
    noted(locked, host="node7 pid:[1]") if another_host else lock.note()
    lock.release()
    assert (locked / "0.output.lock").exists()
    assert ("on node7" if another_host else f"process {os.getpid()} on ") in capsys.readouterr().err


def test_what_nobody_noted_stays(locked, capsys):
    """Another run has locked other files of the folder, and not yet said so."""
    lock.release()
    noted(locked)
    (locked / "1.output.lock").touch()
    lock.release()
    assert len(list(locked.glob("*.lock"))) == 2
    assert capsys.readouterr().err == ""


def test_a_note_half_written_is_no_note(locked):
    noted(locked)
    (locked / "2.run").write_text('{"host": ')
    lock.release()
    assert (locked / "0.output.lock").exists()


def test_without_a_lock_there_is_no_note(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lock.note()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_of_another_hosts_run_that_is_silent_the_way_out_is_told(locked, capsys):
    noted(locked, host="node7 pid:[1]")
    (note,) = locked.glob("*.run")
    os.utime(note, (1, 1))
    lock.release()
    said = capsys.readouterr().err
    assert "nothing was heard for" in said
    assert "snakemake --unlock" in said
    assert "Ctrl-C" not in said


def test_a_note_is_written_again_while_its_run_lives(locked):
    """Snakemake takes those of all runs away when one ends."""
    lock.note()
    (note,) = locked.glob("*.run")
    assert os.environ[wanted.RUN] == str(note.absolute())
    assert lock.living() == {lock.name()}
    shutil.rmtree(locked)
    wait_for(note.exists, "note", 10)
    lock.end()
    time.sleep(0.05)
    shutil.rmtree(locked)
    time.sleep(0.05)
    assert not note.exists()


def test_whoever_cannot_be_asked_lives(locked):
    noted(locked)
    (locked / "memscore-half.run").write_text('{"host": ')
    noted(locked, host="node7 pid:[1]", pid=1)
    assert {"memscore-half", "1"} <= lock.living()
