"""A JSON key/value store over plain HTTP, on the storage you already trust."""

from typing import TYPE_CHECKING

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
    "__version__",
    "combine",
    "kv",
]

__version__: str


if not TYPE_CHECKING:  # type checkers would accept any name

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415  (few programs ask for it)

            return version("workertown-kv")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
