"""A job whose run is over puts nothing in its place."""

import pytest

from memscore import files, wanted
from memscore.errors import InputError


@pytest.fixture
def of_a_run(tmp_path, monkeypatch):
    """The note of the run that this process is a job of."""
    monkeypatch.setattr(wanted, "BEAT", 0)
    note = tmp_path / "a.run"
    note.touch()
    monkeypatch.setenv(wanted.RUN, str(note))
    return note


def write(path, text):
    with files.replacing(path) as temporary:
        temporary.write_text(text)


def test_a_late_job_replaces_nothing(of_a_run, tmp_path):
    table = tmp_path / "table.csv"
    write(table, "of the run")
    of_a_run.unlink()
    with pytest.raises(InputError, match="not wanted"):
        write(table, "late")
    assert table.read_text() == "of the run"
    assert list(tmp_path.iterdir()) == [table], "nothing half-written stays"


def test_a_note_that_comes_back_is_waited_for(of_a_run, tmp_path, monkeypatch):
    """Another run of the folder that ends takes all notes away."""
    of_a_run.unlink()
    monkeypatch.setattr(wanted, "BEAT", 20)
    monkeypatch.setattr(wanted.time, "sleep", lambda seconds: of_a_run.touch())
    write(tmp_path / "table.csv", "")


def test_what_no_run_started_is_wanted(tmp_path, monkeypatch):
    monkeypatch.delenv(wanted.RUN, raising=False)
    write(tmp_path / "table.csv", "")
