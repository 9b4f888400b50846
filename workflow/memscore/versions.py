"""The version of what each step computes: a result is made again when its step's version changes.

Raise a version when the numbers that a step writes change; tests/test_versions.py knows when its code has changed, and
asks. Read while the DAG is built, so nothing is imported here.
"""

from collections.abc import Mapping

# By step: its version, and what its numbers come from beside the scripts of its rules.
STEPS = {
    "stimuli": (
        3,
        "stimuli/tables stimuli/splits stimuli/selection stimuli/duplicates stimuli/inspection stimuli/sources",
    ),
    "benchmarks": (2, "stimuli/benchmarks stimuli/sources correlation"),
    "consistency": (3, "stimuli/consistency correlation"),
    "pixels": (1, "stimuli/pixels"),
    "architectures": (4, "networks/architectures"),
    "weights": (2, "networks/weights networks/architectures"),
    "finetune": (3, "networks/finetuning networks/weights networks/extraction stimuli/splits correlation"),
    "layers": (3, "networks/extraction networks/reduction networks/streaming networks/architectures"),
    "memorability": (3, "scores/memorability scores/pls stimuli/splits correlation"),
    "brain": (2, "scores/brain scores/pls stimuli/benchmarks correlation"),
    "peers": (1, "predictions/peers stimuli/pixels stimuli/splits correlation"),
    "predictor": (
        2,
        "predictions/predictor networks/extraction networks/finetuning networks/reduction networks/streaming "
        "networks/weights stimuli/splits stimuli/pixels",
    ),
    "recognition": (1, "scores/recognition"),
    "audit": (1, "scores/audit"),
    "tables": (5, "analysis/tables analysis/collecting analysis/best_layers"),
    "statistics": (4, "analysis/statistics analysis/intervals analysis/best_layers analysis/tables correlation"),
    "provenance": (1, "report/provenance"),
    "report": (7, "report names"),
}


def of(*steps: str) -> Mapping[str, int]:
    """Their versions, for a rule's `params`."""
    return {step: STEPS[step][0] for step in steps}
