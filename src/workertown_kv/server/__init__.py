"""`kv()` and the server that it makes."""

from .making import kv
from .server import Server

__all__ = ["Server", "kv"]
