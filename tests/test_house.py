"""The package's rooms: imports go one way, and each stage has the same name everywhere."""

import ast
from pathlib import Path

import pytest

import memscore

PACKAGE = Path(memscore.__file__).parent
# From the roof down: each may import from itself and from what is below.
STAGES = ["report", "analysis", "predictions", "scores", "stimuli", "networks"]
# What is decided before a study runs: knows of stages what needs neither torch nor pandas.
PLANNING = {"study": {"networks"}, "configuration": set()}


def imported(path: Path) -> set[str]:
    """First parts of what a module imports from the package: `scores` of `memscore.scores.pls`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "memscore":
            inside = node.module.split(".")[1:2]
            names |= set(inside) or {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_from_below(stage):
    below = set(STAGES[STAGES.index(stage) :])
    for path in (PACKAGE / stage).rglob("*.py"):
        assert imported(path) & set(STAGES) <= below, path
        assert not imported(path) & set(PLANNING), path


def test_the_ground_floor_imports_no_stage():
    for path in PACKAGE.glob("*.py"):
        assert imported(path) & set(STAGES) <= PLANNING.get(path.stem, set()), path


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_one_name_and_says_what_it_is_for(stage, repository):
    assert (repository / f"workflow/rules/{stage}.smk").is_file()
    assert (repository / f"workflow/scripts/{stage}").is_dir()
    assert (repository / f"tests/{stage}").is_dir()
    init = ast.parse((PACKAGE / stage / "__init__.py").read_text())
    assert ast.get_docstring(init)
    (exported,) = (node.value for node in init.body if isinstance(node, ast.Assign))
    modules = {path.stem for path in (PACKAGE / stage).glob("[!_]*")} - {"sources"}
    assert set(ast.literal_eval(exported)) == modules
