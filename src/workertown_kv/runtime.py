"""Choose what the environment of a server provides, which is its storage.

`kv(runtime=…)` takes a `Runtime`, a function that returns one, or the name of a function here.
"""

import difflib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from .errors import OptionsError
from .options import Environment, Options, Secret, text_of, without_credentials
from .storage import Retention, Storage
from .storage.memory import MemoryStorage
from .storage.url import CLOUDFLARE_TOKEN, is_of_cloudflare, storage_from_url, takes_token

DEFAULT_DATABASE = "kv.sqlite"
"""The SQLite file of a server whose environment does not name a database."""

EDGE_SCHEMES: Final = ("upstash", "upstash+http")
"""The URL schemes of the storages that only need `fetch`."""

IN_PYODIDE: Final[bool] = sys.platform == "emscripten"
"""Whether this is Pyodide, the Python of Cloudflare Workers."""


class Runtime(msgspec.Struct, frozen=True):
    """What a server runs on."""

    storage: Storage
    background: bool = True
    """Whether the process runs between requests. If it does not, no task runs in the background.
    The lifespan, which Cloudflare runs around each request, does not open or close the storage
    then: the first request opens it, and it stays open."""


RuntimeResolver = Callable[[Options, Environment], Runtime]


def local(options: Options, env: Environment) -> Runtime:
    """Use the storage that `KV_DB` names, else SQLite at `kv.sqlite`, as on an ordinary machine."""
    url = text_of(env, options.env.database) or DEFAULT_DATABASE
    token = token_for(url, options, env)
    if token is not None and not takes_token(url):
        raise OptionsError(
            f"{options.env.database_token} is set, and the storage that {options.env.database} "
            "names takes no token; expected https://HOST or libsql://HOST, or no token"
        )
    return Runtime(storage_from_url(url, token=token))


def token_for(url: str, options: Options, env: Environment) -> Secret | None:
    """Return the token for the storage that a URL names."""
    name = CLOUDFLARE_TOKEN if is_of_cloudflare(url) else options.env.database_token
    token = text_of(env, name)
    return Secret(token) if token else None


def edge(options: Options, env: Environment) -> Runtime:
    """Use the database at Upstash that `KV_DB` names, as on a host without sockets and a disk.

    Raises `OptionsError` for any other storage, since such a host cannot reach it.
    """
    name = options.env.database
    url = text_of(env, name) or ""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in EDGE_SCHEMES:
        # Only the scheme is shown, since the URL of another storage may have a password.
        found = f"is {scheme}://…" if separator else "is not a URL" if url else "is not set"
        raise OptionsError(
            f"{name} {found}; expected upstash://TOKEN@HOST, since the runtime edge only has fetch"
        )
    return Runtime(storage_from_url(url))


def cloudflare_workers(options: Options, env: Mapping[str, Any]) -> Runtime:
    """Use the KV namespace or the D1 database that is bound to a Cloudflare Worker as `KV_DB`.

    A `KV_DB` that is text is a URL, as for the runtime `edge`. Raises `OptionsError`.
    """
    name = options.env.database
    binding = env.get(name)
    if binding is None:
        raise OptionsError(
            f"{name} is not bound; expected a KV namespace or a D1 database with this name in the "
            "configuration of the Worker, and kv(get_env=lambda: WorkerEnvironment(env))"
        )
    if isinstance(binding, str):
        return msgspec.structs.replace(edge(options, env), background=False)
    if not IN_PYODIDE:
        raise OptionsError(f"{name} is not text; a binding can only be used in a Worker")
    module = importlib.import_module(".storage.cloudflare", __package__)
    return Runtime(module.storage_from_binding(binding, name), background=False)


class WorkerEnvironment(Mapping[str, Any]):
    """The `env` of a Cloudflare Worker, for `get_env`: variables, secrets and bindings."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getitem__(self, name: str) -> Any:
        value = getattr(self._env, name, None)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        # Cloudflare's SDK wraps the object that has the names in another object.
        return iter(dir(getattr(self._env, "_env", self._env)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def testing(  # not a test, though pytest takes it for one
    values: Mapping[str, object] | Options | None = None,  # noqa: PT028  (not a test)
    env: Environment | None = None,  # noqa: PT028  (not a test)
) -> Runtime:
    """Use memory with these values. `runtime` may be this function or what it returns."""
    return Runtime(MemoryStorage(None if isinstance(values, Options) else values))


_BUILT_IN: Final[Mapping[str, RuntimeResolver]] = {
    "local": local,
    "edge": edge,
    "testing": testing,
    "cloudflare_workers": cloudflare_workers,
}


def resolve_runtime(options: Options) -> Runtime:
    """Return the runtime that the options name. Raises `OptionsError` for anything else."""
    here = cloudflare_workers if IN_PYODIDE else local
    runtime = options.runtime or here
    if isinstance(runtime, str):
        runtime = _named(runtime)
    if callable(runtime):
        runtime = runtime(options, options.get_env())
    if not isinstance(runtime, Runtime):
        raise OptionsError(
            f"runtime is {type(runtime).__name__}; expected a Runtime, such as "
            "Runtime(storage=MyStorage()), a function (options, env) that returns one, or "
            f"{_names()}"
        )
    changes = options.changes
    runtime.storage.retention = (
        None if changes is False else Retention(changes.seconds, changes.entries)
    )
    return runtime


def _named(name: str) -> RuntimeResolver:
    found = _BUILT_IN.get(name)
    if found is None:
        near = difflib.get_close_matches(name, _BUILT_IN, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        shown = without_credentials(repr(name))
        raise OptionsError(f"There is no runtime {shown}{hint} Built in are {_names()}")
    return found


def _names() -> str:
    return ", ".join(repr(name) for name in _BUILT_IN)
