"""Make the read cache of a server."""

from ..errors import OptionsError
from ..options import Options
from ..runtime import Runtime
from ..storage import CachedStorage, Capability, Storage


def configured_cache(options: Options, runtime: Runtime, storage: Storage) -> CachedStorage | None:
    """Return the cache in front of `storage`, `None` if it is off.

    Raises `OptionsError` if it cannot follow.
    """
    if options.cache is False:
        return None
    if options.cache.follow:
        _check_follows(options, runtime)
    return CachedStorage(storage, options.cache)


def _check_follows(options: Options, runtime: Runtime) -> None:
    wrong = None
    storage = runtime.storage
    if options.changes is False:
        wrong = "changes is False; expected that changes are recorded, which the cache follows"
    elif not runtime.background:
        wrong = "this process does not run between requests; expected a host on which it does"
    elif Capability.CHANGES in storage.lacks:
        lack = storage.unsupported(Capability.CHANGES).message
        wrong = f"the cache has nothing to follow: {lack} Expected cache.follow = False"
    if wrong is not None:
        raise OptionsError(f"cache.follow is True, but {wrong}")
