"""Keep entries in D1, through its binding."""

from .storage import D1BindingStorage

__all__ = ["D1BindingStorage"]
