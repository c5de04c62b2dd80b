"""Cloudflare's bindings: Workers KV and D1, for a server inside a Python Worker.

These modules need Pyodide, which is Python as Cloudflare runs it.
"""

from .binding import storage_from_binding
from .d1 import D1BindingStorage
from .kv import KVBindingStorage

__all__ = ["D1BindingStorage", "KVBindingStorage", "storage_from_binding"]
