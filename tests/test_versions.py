"""Results follow code: whose code changes, its step's version is looked at. Comments and docstrings are no code.

When this fails: raise the step's version in workflow/memscore/versions.py if the numbers change, and either way say
that it was looked at:

    PYTHONPATH=workflow .venv/bin/python tests/test_versions.py
"""

import ast
import hashlib
import json
import re
from pathlib import Path

import pytest

from memscore import versions

WORKFLOW = Path(versions.__file__).parents[1]
SEEN = Path(__file__).with_name("versions.json")


def rules() -> dict[str, tuple[str, list[str]]]:
    """Script and steps of every rule that has a script."""
    text = "\n".join(path.read_text() for path in sorted((WORKFLOW / "rules").glob("*.smk")))
    found = {}
    for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL):
        script = re.search(r'"\.\./(scripts/[\w/]+\.py)"', body)
        steps = [step for given in re.findall(r"versions\.of\((.*?)\)", body) for step in re.findall(r"\w+", given)]
        if script:
            found[name] = script[1], steps
    return found


def files_of(step: str) -> list[Path]:
    """The modules that a step names, and the scripts of its rules."""
    files = []
    for module in versions.STEPS[step][1].split():
        path = WORKFLOW / "memscore" / module
        files += [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.rglob("*.py"))
    return files + [WORKFLOW / script for script, steps in rules().values() if step in steps]


def code_of(text: str) -> str:
    """A file's code without comments and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            del body[0]
    return ast.dump(tree)


def seen() -> dict[str, list]:
    """By step: its version and a hash of its code."""
    code = {step: "".join(code_of(path.read_text()) for path in files_of(step)) for step in versions.STEPS}
    return {step: [versions.STEPS[step][0], hashlib.sha256(code[step].encode()).hexdigest()] for step in versions.STEPS}


@pytest.mark.parametrize("step", versions.STEPS)
def test_a_step_whose_code_changed_was_looked_at(step):
    files = files_of(step)
    assert files
    assert all(path.is_file() for path in files)
    known = json.loads(SEEN.read_text())
    assert seen()[step] == known.get(step), f"{step}: its code or version changed; {__doc__}"


def test_every_rule_with_a_script_has_a_version():
    found = rules()
    assert len(found) > 20
    assert [name for name, (_, steps) in found.items() if not steps] == []
    networks = {"memorability", "brain", "generalise", "audit_layer", "write_activations"}
    assert {name for name, (_, steps) in found.items() if "layers" in steps} == networks
    assert {step for _, steps in found.values() for step in steps} | {"architectures"} == set(versions.STEPS)


def test_comments_are_no_code():
    plain = "def f(x):\n    return x + 1\n"
    assert code_of(plain) != code_of(plain.replace("1", "2"))
    told = '"""What."""\n# Why.\ndef f(x):\n    """More."""\n    return x + 1  # so\n'
    assert code_of(told) == code_of(plain)


if __name__ == "__main__":
    SEEN.write_text(json.dumps(seen(), indent=1) + "\n")
