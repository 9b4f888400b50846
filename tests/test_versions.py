"""Results follow code: whose code changes, its step's version is looked at. Comments and docstrings are no code.

When this fails: raise the step's version in workflow/memscore/versions.py if the numbers change, and either way say
that it was looked at:

    make test ARGS='tests/test_versions.py --looked-at'
"""

import ast
import hashlib
import json
from pathlib import Path

from memscore import versions

WORKFLOW = Path(versions.__file__).parents[1]
SEEN = Path(__file__).with_name("versions.json")


def code_of_step(step: str, rules: dict[str, dict]) -> str:
    """Of the modules that a step names, and of the scripts of its rules."""
    files = []
    for module in versions.STEPS[step][1].split():
        path = WORKFLOW / "memscore" / module
        files += [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.rglob("*.py"))
    files += [WORKFLOW / "rules" / rule["script"] for rule in rules.values() if step in rule["steps"]]
    return "".join(code_of(path.read_text()) for path in files)


def code_of(text: str) -> str:
    """A file's code without comments and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            del body[0]
    return ast.dump(tree)


def test_steps_whose_code_changed_were_looked_at(rules, request):
    """By step: its version and a hash of its code."""
    now = {
        step: [version, hashlib.sha256(code_of_step(step, rules).encode()).hexdigest()]
        for step, (version, _) in versions.STEPS.items()
    }
    if request.config.getoption("--looked-at"):
        SEEN.write_text(json.dumps(now, indent=1) + "\n")
    known = json.loads(SEEN.read_text())
    changed = [step for step in now.keys() | known.keys() if now.get(step) != known.get(step)]
    assert not changed, f"code or versions of {', '.join(changed)} changed; {__doc__}"


def test_every_rule_with_a_script_has_a_version(rules):
    scripted = {name: rule["steps"] for name, rule in rules.items() if rule["script"]}
    assert len(scripted) > 20
    assert [name for name, steps in scripted.items() if not steps] == []
    networks = {"memorability", "brain", "generalise", "audit_layer", "write_activations"}
    assert {name for name, steps in scripted.items() if "layers" in steps} == networks
    assert {step for steps in scripted.values() for step in steps} | {"architectures"} == set(versions.STEPS)


def test_comments_are_no_code():
    plain = "def f(x):\n    return x + 1\n"
    assert code_of(plain) != code_of(plain.replace("1", "2"))
    told = '"""What."""\n# Why.\ndef f(x):\n    """More."""\n    return x + 1  # so\n'
    assert code_of(told) == code_of(plain)
