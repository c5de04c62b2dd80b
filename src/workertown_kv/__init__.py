"""A JSON key/value store over plain HTTP, on the storage you already trust."""

from .errors import KvError, OptionsError
from .options import Options
from .runtime import Runtime
from .server import Server, kv
from .storage import Storage

__all__ = ["KvError", "Options", "OptionsError", "Runtime", "Server", "Storage", "kv"]
