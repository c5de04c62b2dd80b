"""A JSON key/value store over plain HTTP, on the storage you already trust."""

from .errors import KvError, OptionsError
from .hosts import combine
from .options import Options
from .runtime import Runtime
from .server import Server, kv
from .storage import Storage
from .user import Scope, User

__all__ = [
    "KvError",
    "Options",
    "OptionsError",
    "Runtime",
    "Scope",
    "Server",
    "Storage",
    "User",
    "combine",
    "kv",
]
