"""`import tensorflow` in .bench/thingsvision: nothing in it computes.

thingsvision 2.7.3 imports tensorflow before it does anything, because it also extracts from Keras models; of it, its
PyTorch extractors use nothing, and only one question is asked on import, for GPUs. The real one is hundreds of
megabytes that would change nothing of what is measured. Here are the names that are looked up on import and no others,
so that whatever else is used stops with an AttributeError.
"""

import sys
from types import ModuleType


def _module(name: str, **names) -> ModuleType:
    """A module that can be imported as `name` and holds `names`."""
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(names)
    return module


config = _module("tensorflow.config", list_physical_devices=lambda kind=None: [])
keras = _module(
    "tensorflow.keras",
    applications=_module("tensorflow.keras.applications"),
    layers=_module("tensorflow.keras.layers", Lambda=None),
)
