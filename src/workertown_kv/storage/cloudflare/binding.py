"""Make the storage for a binding of a Cloudflare Worker."""

from typing import Any

from ...errors import OptionsError
from ..contract import Storage
from .bridge import unwrapped
from .d1 import D1BindingStorage
from .kv import KVBindingStorage


def storage_from_binding(binding: Any, name: str) -> Storage:
    """Make the storage for a binding, recognized by its methods. Raises `OptionsError`."""
    raw = unwrapped(binding)
    if hasattr(raw, "getWithMetadata"):
        return KVBindingStorage(raw)
    if hasattr(raw, "prepare") and hasattr(raw, "batch"):
        return D1BindingStorage(raw)
    raise OptionsError(
        f"The binding {name} is neither a KV namespace nor a D1 database; expected one of them in "
        "the configuration of the Worker"
    )
