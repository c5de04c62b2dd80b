"""Keep entries in libSQL, such as a database at Turso."""

from .storage import LibsqlStorage

__all__ = ["LibsqlStorage"]
