"""Workers KV, by its binding."""

from .storage import KVBindingStorage

__all__ = ["KVBindingStorage"]
