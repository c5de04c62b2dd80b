"""D1, by its binding."""

from .storage import D1BindingStorage

__all__ = ["D1BindingStorage"]
