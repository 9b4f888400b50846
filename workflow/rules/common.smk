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


wildcard_constraints:
    set="[^/]+",
    model="[^/]+",
    layers="[^/]+",
    layer="[^/]+",
    benchmark="[^/]+",
