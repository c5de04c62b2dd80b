"""Log each request by a call of the operator's logger."""

from inspect import Parameter, signature
from typing import Final
from urllib.parse import quote

import msgspec

from ..errors import InputError
from ..http.exchange import NOBODY, Exchange
from ..options import Logger
from .address import AddressOf

PATH_BYTES: Final = 1024
"""The most bytes of a path that are logged; three dots replace the rest."""

METHOD_CHARACTERS: Final = 20
"""The most characters of a method that are logged, since a method may be any word."""

PRINTABLE: Final = bytes(range(0x21, 0x7F))
"""The characters of a path that are logged as they are."""


class LoggedRequest(msgspec.Struct, frozen=True):
    """What a logger can learn of a request besides its method, path, status and duration."""

    id: str
    """The id of the request."""
    client: str | None
    """The address of the client; `None` if it is not known."""
    user: str | None
    """The id of the user; `None` without valid credentials, and for public endpoints."""
    received_bytes: int
    """The bytes of the body of the request that the server has read."""
    sent_bytes: int
    """The bytes of the body of the response."""


class AccessLog:
    """Gives the logger the method, the path as sent, the status, and how many seconds it took.

    A logger with a parameter `request` also gets a `LoggedRequest`.
    """

    def __init__(self, logger: Logger, address_of: AddressOf) -> None:
        self._logger = logger
        self._address_of = address_of
        self._has_request = _has_parameter(logger, "request")

    def observe(self, exchange: Exchange, seconds: float) -> None:
        """Log a request after its answer."""
        method, path = exchange.method[:METHOD_CHARACTERS], logged_path(exchange)
        if not self._has_request:
            self._logger(method, path, exchange.status, seconds)
            return
        request = LoggedRequest(
            exchange.request_id,
            logged_address(exchange, self._address_of),
            None if exchange.user is NOBODY else exchange.user.id,
            exchange.received_bytes,
            exchange.sent_bytes,
        )
        self._logger(method, path, exchange.status, seconds, request=request)


def logged_path(exchange: Exchange) -> str:
    """Return the path as sent, without the query, since that may have a key.

    The path is percent-encoded, even if the client has not done so, so that it has no line breaks.
    It is cut after `PATH_BYTES`.
    """
    sent = exchange.raw_path or exchange.scope["path"].encode("unicode_escape")
    if not sent.translate(None, PRINTABLE) and len(sent) <= PATH_BYTES:
        return sent.decode("ascii")
    path = quote(sent[:PATH_BYTES], safe=PRINTABLE)
    return path + "..." if len(sent) > PATH_BYTES else path


def logged_address(exchange: Exchange, address_of: AddressOf) -> str | None:
    """Return the address of the client, `None` also if a proxy does not say it properly."""
    try:
        return address_of(exchange)
    except InputError:
        return None


def _has_parameter(function: Logger, name: str) -> bool:
    try:
        parameter = signature(function).parameters.get(name)
    except (TypeError, ValueError):  # a function in C may not say which parameters it has
        return False
    return parameter is not None and parameter.kind in (
        Parameter.POSITIONAL_OR_KEYWORD,
        Parameter.KEYWORD_ONLY,
    )
