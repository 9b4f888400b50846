"""What a result was made with: a job of an earlier run, or of another config, may end after this one's."""

import hashlib
import json
from collections.abc import Mapping

# Of a rule's params, those that decide no number.
PATHS = ("checkpoint",)


def made_with(params: Mapping) -> str:
    """Short hash of a job's `params`, those that decide its numbers; the job writes it beside them."""
    decide = {name: value for name, value in params.items() if name not in PATHS}
    # Begins like no number: readers of tables would take 1e2345678901 for one, and pandas 2.3 dies of it.
    return "p" + hashlib.sha256(json.dumps(decide, sort_keys=True).encode()).hexdigest()[:12]
