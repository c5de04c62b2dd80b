"""Keep entries in a table of a PostgreSQL database."""

from .storage import PostgresStorage

__all__ = ["PostgresStorage"]
