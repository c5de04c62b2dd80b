"""Import the names of a package when they are first used (PEP 562)."""

import sys
from collections.abc import Callable, Container, Mapping
from importlib import import_module
from typing import Any


def importing(
    package: str, modules: Mapping[str, str], submodules: Container[str] = ()
) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package, by the names and the modules that have them.

    No name may be that of a module of the package: it would be the module once that is imported.

    `submodules` are reachable as attributes without an import of their own.
    """
    assert modules.keys().isdisjoint(modules.values())

    def get(name: str) -> Any:
        if name in submodules:
            return import_module(f".{name}", package)
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f".{modules[name]}", package), name)
        setattr(sys.modules[package], name, found)
        return found

    return get
