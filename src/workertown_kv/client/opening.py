"""Find the storage that a client is asked for."""

import os
from sys import maxsize
from typing import Final

from ..errors import OptionsError
from ..options import LimitsOptions, Secret
from ..storage import Storage
from ..storage.url import CLOUDFLARE_TOKEN, is_of_cloudflare, storage_from_url, takes_token
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
    is_server = url.lower().startswith(_SERVERS)
    if is_server and limits is not None:
        raise OptionsError("limits are given for a server, which has its own; expected none")
    token = None
    if takes_token(url):
        variable = CLOUDFLARE_TOKEN if is_of_cloudflare(url) else TOKEN
        token = api_key if api_key is not None else os.environ.get(variable) or None
    else:
        _refuse_key(api_key, "a store that takes none")
    storage = storage_from_url(url, token=None if token is None else Secret(token))
    if is_server:
        return Connection(storage, _OF_THE_SERVER, is_server=True)
    return Connection(storage, limits or LimitsOptions())


def _refuse_key(api_key: str | None, what: str) -> None:
    if api_key is not None:
        raise OptionsError(
            f"api_key is given for {what}; expected it for https://…, libsql://…, d1://… or "
            "cloudflare-kv://…"
        )
