"""Keep entries in another server of this kind, over its native API."""

from .storage import HttpStorage

__all__ = ["HttpStorage"]
