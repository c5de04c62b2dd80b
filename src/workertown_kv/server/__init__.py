"""Make servers, with `kv()`."""

from .making import kv
from .server import Server

__all__ = ["Server", "kv"]
