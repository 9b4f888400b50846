# The package is found by this process and by the scripts it starts, here and on cluster nodes.
import os
import sys
from pathlib import Path

PACKAGE = str(Path(workflow.basedir, "workflow"))
sys.path.insert(0, PACKAGE)
os.environ.update(PYTHONPATH=PACKAGE)

from memscore import study
from memscore.errors import InputError

try:
    STUDY = study.load(config)
except InputError as error:
    sys.exit(f"memscore: {error}")


def staged_table(wildcards):
    """What is staged of a stimulus set: of a dataset before bad images are left out."""
    name = "staged" if wildcards.kind == "datasets" else "stimuli"
    return f"resources/stimuli/{wildcards.kind}/{wildcards.set}/{name}.csv"


wildcard_constraints:
    kind="[^/]+",
    set="[^/]+",
    model="[^/]+",
    layers="[^/]+",
    layer="[^/]+",
    benchmark="[^/]+",
