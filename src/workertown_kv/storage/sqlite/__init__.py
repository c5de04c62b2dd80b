"""Keep entries in one SQLite file."""

from .storage import SqliteStorage

__all__ = ["SqliteStorage"]
