"""timm, imported without torch's compiler and what else no job runs: half of what a job's start took.

`import timm` runs all of torchvision, of which its networks take one class, and both have torch load its compiler
(torch._dynamo, with sympy and triton): torchvision for one of its operations, timm to mark functions that are not to be
compiled. Here torchvision's packages are there at once, as are their modules, but run what else they are made of only
when a name is asked for that none of these has given them. Nothing is missing, and nothing is another's.
"""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

PUT_OFF = ("torchvision", "torchvision.models", "torchvision.ops")
# Packages that have not run yet, and what runs them.
_waiting: dict[str, tuple[ModuleType, Loader]] = {}


class _Packages(MetaPathFinder):
    """Finds the packages of `PUT_OFF` where they are."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in PUT_OFF else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader)
        return spec


class _Later(Loader):
    """Loads a package whose own code runs once a name is asked for that it does not have yet."""

    def __init__(self, loader: Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        _waiting[module.__name__] = module, self._loader

        def missing(name: str) -> object:
            run(module.__name__)
            return getattr(module, name)

        module.__getattr__ = missing


def run(package: str) -> None:
    """Run a package that was put off; nothing of any other."""
    if package in _waiting:
        module, loader = _waiting.pop(package)
        del module.__getattr__
        loader.exec_module(module)


@cache
def load_timm() -> ModuleType:
    """timm as `import timm` gives it, in a third of the time."""
    import torch

    finder = _Packages()
    sys.meta_path.insert(0, finder)
    marked, torch.compiler.disable = torch.compiler.disable, _unmarked
    try:
        with nothing_is_garbage():
            import_module("torchvision.transforms")  # Asked for by name, as timm does, it would have torchvision run.
            return import_module("timm")
    finally:
        sys.meta_path.remove(finder)
        torch.compiler.disable = marked


def load_all_of_torchvision() -> None:
    """For code that is not timm's: whoever imported torchvision may count on all that it registers with torch."""
    for package in PUT_OFF:
        run(package)


def _unmarked(function: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Callable:
    """torch.compiler.disable where nothing is compiled, and where marking a function so would load the compiler."""
    return function or (lambda function: function)


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Imports make many objects that stay: looking for garbage among them takes a seventh of their time."""
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()
