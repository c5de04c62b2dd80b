"""Keep entries in Workers KV, through its binding."""

from .storage import KVBindingStorage

__all__ = ["KVBindingStorage"]
