"""Keep entries in a table of a MySQL or MariaDB database."""

from .storage import MysqlStorage

__all__ = ["MysqlStorage"]
