"""A JSON key/value store over plain HTTP, on the storage you already trust.

The first use of a name imports its module, so that a client loads no server.
"""

from typing import TYPE_CHECKING, Final

from .lazy import importing

if TYPE_CHECKING:
    from .client import AsyncClient, Client
    from .errors import KvError, OptionsError
    from .hosts import combine
    from .options import Options
    from .package_version import __version__
    from .runtime import Runtime
    from .server import Server, kv
    from .storage import Storage
    from .user import Scope, User

__all__ = [
    "AsyncClient",
    "Client",
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

_MODULES: Final = {
    "AsyncClient": "client",
    "Client": "client",
    "KvError": "errors",
    "Options": "options",
    "OptionsError": "errors",
    "Runtime": "runtime",
    "Scope": "user",
    "Server": "server",
    "Storage": "storage",
    "User": "user",
    "__version__": "package_version",
    "combine": "hosts",
    "kv": "server",
}

_SUBMODULES: Final = {*_MODULES.values(), "access", "entry", "operations"}
"""What `import workertown_kv` makes reachable, as in `workertown_kv.errors.NotFound`."""

if not TYPE_CHECKING:  # type checkers would accept any name
    __getattr__ = importing(__name__, _MODULES, _SUBMODULES)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
