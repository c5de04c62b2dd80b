"""Cloudflare's bindings: Workers KV and D1, for a server inside a Python Worker.

These modules need Pyodide, which is Python as Cloudflare runs it.
"""

from typing import Any

from ...errors import OptionsError
from ..contract import Storage
from .bridge import unwrapped
from .d1 import D1BindingStorage
from .kv import KVBindingStorage

__all__ = ["D1BindingStorage", "KVBindingStorage", "storage_from_binding"]


def storage_from_binding(binding: Any, name: str) -> Storage:
    """The storage for a binding, told by what it can do. Raises `OptionsError` for others."""
    raw = unwrapped(binding)
    if hasattr(raw, "getWithMetadata"):
        return KVBindingStorage(raw)
    if hasattr(raw, "prepare") and hasattr(raw, "batch"):
        return D1BindingStorage(raw)
    raise OptionsError(
        f"The binding {name} is neither a KV namespace nor a D1 database; expected one of them in "
        "the configuration of the Worker"
    )
