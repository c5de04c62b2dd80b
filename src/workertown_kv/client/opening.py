"""Find the storage that a client is asked for."""

import os
from sys import maxsize
from typing import Final

from ..errors import OptionsError
from ..options import LimitsOptions, Secret
from ..storage import Storage
from ..storage.url import storage_from_url
from .connection import Connection

TOKEN: Final = "KV_TOKEN"  # noqa: S105  (the name of a variable)

_SERVERS: Final = ("http://", "https://")
_OF_THE_SERVER: Final = LimitsOptions(value_bytes=maxsize, key_bytes=maxsize)
"""A server checks its own limits, which may be higher than the defaults."""


def connect(
    store: str | os.PathLike[str] | Storage, *, api_key: str | None, limits: LimitsOptions | None
) -> Connection:
    """Return the connection to a store, not opened yet. Raises `OptionsError`."""
    if isinstance(store, Storage):
        _refuse_key(api_key, "a Storage")
        return Connection(store, limits or LimitsOptions())
    url = os.fspath(store)
    if not url.lower().startswith(_SERVERS):
        _refuse_key(api_key, "a file or a database")
        return Connection(storage_from_url(url), limits or LimitsOptions())
    if limits is not None:
        raise OptionsError("limits are given for a server, which has its own; expected none")
    token = api_key if api_key is not None else os.environ.get(TOKEN) or None
    storage = storage_from_url(url, token=None if token is None else Secret(token))
    return Connection(storage, _OF_THE_SERVER, is_server=True)


def _refuse_key(api_key: str | None, what: str) -> None:
    if api_key is not None:
        raise OptionsError(f"api_key is given for {what}; expected it only for a server, https://…")
