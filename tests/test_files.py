"""What killed jobs leave half-written is swept, and nothing else."""

import os
import time

from memscore import files


def test_only_what_is_half_written_and_old_is_swept(tmp_path):
    old = time.time() - 2 * files.HOUR
    for name in ("results/brain/a.csv", "results/.hidden.csv", "results/set/.gitkeep", "resources/x/.lamem-1-00.part"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    kept = sorted(tmp_path.rglob("*"))
    stale, young = (files.temporary_for(tmp_path / "results/brain/a.csv") for _ in range(2))
    folder, busy = (files.temporary_for(tmp_path / "resources/unpacked") for _ in range(2))
    for path in (folder / "images/a.jpg", busy / "images/a.jpg", stale, young):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for path in (stale, folder / "images/a.jpg", folder / "images", folder, busy, busy / "images"):
        os.utime(path, (old, old))
    files.sweep(str(tmp_path / "results"), str(tmp_path / "resources"), str(tmp_path / "nowhere"))
    assert sorted(tmp_path.rglob("*")) == sorted([*kept, young, busy, busy / "images", busy / "images/a.jpg"])


def test_young_is_by_the_file_servers_clock(tmp_path, monkeypatch):
    """This machine's may be hours ahead of it: what jobs are writing is not swept."""
    busy = files.temporary_for(tmp_path / "a.csv")
    busy.touch()
    now = time.time()
    monkeypatch.setattr(files.time, "time", lambda: now + 3 * files.HOUR)
    files.sweep(str(tmp_path))
    assert busy.exists()
