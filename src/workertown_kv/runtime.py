"""What an environment brings: today its storage. `kv(runtime=…)` takes one, or a way to one."""

from collections.abc import Callable, Mapping

import msgspec

from .errors import OptionsError
from .options import Environment, Options
from .storage import Storage
from .storage.memory import MemoryStorage
from .storage.url import storage_from_url

DEFAULT_DATABASE = "kv.sqlite"
"""The SQLite file that is used where the environment names no database."""


class Runtime(msgspec.Struct, frozen=True):
    """What a server runs on."""

    storage: Storage


RuntimeResolver = Callable[[Options, Environment], Runtime]


def local(options: Options, env: Environment) -> Runtime:
    """An ordinary machine: the storage that `KV_DB` names, else SQLite at `kv.sqlite`."""
    return Runtime(storage_from_url(env.get(options.env.database) or DEFAULT_DATABASE))


def testing(values: Mapping[str, object] | None = None) -> Runtime:  # noqa: PT028  (no test)
    """Memory, with these values to begin with."""
    return Runtime(MemoryStorage(values))


def resolve_runtime(options: Options) -> Runtime:
    """The runtime that the options ask for. Raises `OptionsError` where they ask for none."""
    runtime = options.runtime or local
    if callable(runtime):
        runtime = runtime(options, options.get_env())
    if not isinstance(runtime, Runtime):
        raise OptionsError(
            f"runtime is {type(runtime).__name__}; expected a Runtime, such as "
            "Runtime(storage=MyStorage()), or a function (options, env) that returns one"
        )
    return runtime
