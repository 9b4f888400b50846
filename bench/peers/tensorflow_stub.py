"""`import tensorflow` in .bench/thingsvision: nothing in it computes.

thingsvision 2.7.3 imports tensorflow, which it needs for Keras models, before it does anything; its PyTorch
extractors then never call it. The real one is 2 GB, has nothing to do with what is measured, and would bring a numpy
of its own. Here are only the names that are looked up on import, so that anything else stops with an AttributeError.
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
