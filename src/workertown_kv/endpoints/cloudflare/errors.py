"""Translate errors into the codes and words of Cloudflare."""

from collections.abc import Sequence
from typing import Final

from ...errors import (
    Detail,
    Forbidden,
    InputError,
    KeyTooLong,
    KvError,
    MethodNotAllowed,
    NamespaceExists,
    NamespaceNotFound,
    NotFound,
    RateLimited,
    Unauthorized,
    ValueTooLarge,
)

NO_SUCH_KEY: Final = 10009

_CODES: Final[Sequence[tuple[type[KvError], int, str | None]]] = (
    (Unauthorized, 10000, "Authentication error"),
    (Forbidden, 10000, None),
    (MethodNotAllowed, 7001, None),
    (NamespaceExists, 10014, "a namespace with this account ID and title already exists"),
    (NamespaceNotFound, 10013, "namespace not found"),
    (NotFound, 7003, None),
    (KeyTooLong, 10030, None),
    (ValueTooLarge, 10024, None),
    (RateLimited, 971, None),
    (InputError, 10029, None),
)
"""The code of each error, and its words if Cloudflare has some. The code of any other error is its
status, since Cloudflare has no such error."""

_STATUSES: Final = {10014: 400}


class CloudflareError(KvError):
    """Workers KV refuses the request with this status and code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def invalid(code: int, message: str) -> CloudflareError:
    """Make the error for a malformed request."""
    return CloudflareError(400, code, message)


def no_such_key() -> CloudflareError:
    """Make the error for a key that has no value."""
    return CloudflareError(404, NO_SUCH_KEY, "key not found")


def translate(error: KvError) -> tuple[int, int, str]:
    """Return the status, the code and the words for an error."""
    if isinstance(error, CloudflareError):
        return error.status, error.code, error.message
    for kind, code, words in _CODES:
        if isinstance(error, kind):
            return _STATUSES.get(code, error.status), code, words or _words(error)
    return error.status, error.status, _words(error)


def _words(error: KvError) -> str:
    return "; ".join([error.message, *map(_detail, error.details)])


def _detail(detail: Detail) -> str:
    at = ".".join(map(str, detail.path))
    return f"{at}: {detail.message}" if at else detail.message
