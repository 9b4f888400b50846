"""The environment is written down three times; they must agree."""

import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PINS = [Requirement(line) for line in (ROOT / "envs/lock.txt").read_text(encoding="utf-8").splitlines()]
LOCKED = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in PINS}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]


def test_lock_holds_exact_pins_and_nothing_else():
    lines = (ROOT / "envs/lock.txt").read_text(encoding="utf-8").splitlines()
    assert len(LOCKED) == len(lines)
    assert list(LOCKED) == sorted(LOCKED)
    for pin in PINS:
        assert [s.operator for s in pin.specifier] == ["=="], pin
        assert pin.url is None, pin
        assert "*" not in str(pin.specifier), pin
        assert "+" not in str(pin.specifier), f"{pin}: a local build is on no public index"


def test_conda_file_holds_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs/memscore.yaml").read_text(encoding="utf-8"))
    python, pip, pinned = environment["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert list(map(Requirement, pinned["pip"])) == PINS, "run `make lock`"


@pytest.mark.parametrize("text", DIRECT)
def test_range_admits_the_locked_version(text):
    wanted = Requirement(text)
    assert wanted.specifier.contains(LOCKED[canonicalize_name(wanted.name)]), "run `make lock UPGRADE=1`"


in_venv = pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not running from .venv (`make test`)")


@in_venv
def test_installed_is_what_is_locked():
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    here = {canonicalize_name(pin.name) for pin in PINS if pin.marker is None or pin.marker.evaluate()}
    assert {name: installed.get(name) for name in here} == {name: LOCKED[name] for name in here}


@in_venv
def test_every_python_3_11_can_install_the_lock():
    """Debian 12 has 3.11.2; a lock made with a later 3.11 may hold releases that it refuses."""
    locked = [d.metadata for d in distributions() if canonicalize_name(d.metadata["Name"]) in LOCKED]
    refusing = [m["Name"] for m in locked if "3.11.0" not in SpecifierSet(m["Requires-Python"] or "")]
    assert not refusing
