"""Writes the locked environment: `make lock`, or `make lock UPGRADE=1` to resolve pyproject.toml anew.

    python envs/make_lock.py             envs/lock.txt -> envs/memscore.yaml
    python envs/make_lock.py --upgrade   pyproject.toml -> envs/lock.txt -> envs/memscore.yaml

The conda file holds the pins themselves, because Snakemake copies such files away and a relative `-r` would break.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ENVS = Path(__file__).resolve().parent
LOCK, CONDA, PROJECT = ENVS / "lock.txt", ENVS / "memscore.yaml", ENVS.parent / "pyproject.toml"
LINUX = ' ; platform_system == "Linux"'
MAC = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64", "os_name": "posix"}


def direct_requirements() -> list[str]:
    """What pyproject.toml asks for, tests included."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]


def resolve(requirements: list[str]) -> dict[str, dict]:
    """The packages pip would install into an empty environment, by name; nothing is installed.

    pip resolves for the Python that runs it. A release series that older 3.11s refuse (Debian 12 has 3.11.2) is ruled
    out, and pip asked again.
    """
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", "-"]
    limits: list[str] = []
    while True:
        found = subprocess.run(command + requirements + limits, check=True, stdout=subprocess.PIPE, text=True).stdout
        packages = {canonicalize_name(p["metadata"]["name"]): p["metadata"] for p in json.loads(found)["install"]}
        refused = [p for p in packages.values() if "3.11.0" not in SpecifierSet(p.get("requires_python") or "")]
        if not refused:
            return packages
        for release in refused:
            version = Version(release["version"])
            limits.append(f"{release['name']}<{version.major}.{version.minor}")
            print(f"{release['name']} {version} refuses Python 3.11.0: asking for {limits[-1]}", flush=True)


def reachable(requirements: list[str], packages: dict[str, dict], environment: dict[str, str]) -> set[str]:
    """Names of the packages that `requirements` need, and those need, in an environment of markers."""
    seen: set[tuple[str, frozenset]] = set()
    stack = [Requirement(r) for r in requirements]
    while stack:
        wanted = stack.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in seen or key[0] not in packages:
            continue
        seen.add(key)
        for needed in map(Requirement, packages[key[0]].get("requires_dist", [])):
            extras = [{**environment, "extra": extra} for extra in ("", *wanted.extras)]
            if needed.marker is None or any(map(needed.marker.evaluate, extras)):
                stack.append(needed)
    return {name for name, _ in seen}


def lock_lines(requirements: list[str], packages: dict[str, dict]) -> list[str]:
    """One exact pin a line; what only Linux needs (the CUDA libraries of torch) says so, for laptops."""
    elsewhere = reachable(requirements, packages, default_environment() | MAC)
    return [
        f"{name}=={packages[name]['version']}{'' if name in elsewhere else LINUX}"
        for name in sorted(reachable(requirements, packages, default_environment()))
    ]


def conda_text(pins: list[str]) -> str:
    """The conda file that installs the pins."""
    head = ["# Made from lock.txt by `make lock`: edit that one.", "name: memscore"]
    channels = ["channels:", "  - conda-forge", "  - nodefaults"]
    packages = ["dependencies:", "  - python=3.11", "  - pip", "  - pip:", *(f"    - '{pin}'" for pin in pins)]
    return "\n".join(head + channels + packages) + "\n"


def replace(path: Path, text: str) -> None:
    """Write `path` in one step."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="resolve pyproject.toml anew (asks the package index)")
    if parser.parse_args().upgrade:
        requirements = direct_requirements()
        replace(LOCK, "\n".join(lock_lines(requirements, resolve(requirements))) + "\n")
    pins = LOCK.read_text(encoding="utf-8").splitlines()
    replace(CONDA, conda_text(pins))
    print(f"envs/lock.txt, envs/memscore.yaml: {len(pins)} pins")


if __name__ == "__main__":
    main()
