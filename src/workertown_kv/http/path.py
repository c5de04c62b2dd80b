"""Read the path of a request, and the rest of it after a prefix."""

import re
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.types import Scope

from ..errors import Detail, InputError

if TYPE_CHECKING:
    from .exchange import Exchange


def route_path(scope: Scope) -> str:
    """Return the path, decoded, relative to the path at which the application is mounted."""
    path: str = scope["path"]
    if path.endswith("/") and len(path) > 1 and not _was_sent_with_slash(scope):
        path = path[:-1]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def _was_sent_with_slash(scope: Scope) -> bool:
    """Return whether the client sent the slash at the end of the path: Litestar adds a slash."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return True
    return raw.partition(b"?")[0][-5:].upper().endswith((b"/", b"%2F", b"%252F"))


def rest_of_path(exchange: "Exchange", prefix: str) -> str:
    """Return the rest of the path after `prefix`, percent-decoded once as UTF-8."""
    path = exchange.path
    raw = exchange.raw_path
    if raw is not None and "%" not in path and raw.endswith(path.encode()):
        return path[len(prefix) :]
    return decode_percent(raw_rest_of_path(exchange, prefix), "path")


def raw_rest_of_path(exchange: "Exchange", prefix: str) -> bytes:
    """Return the rest of the path after `prefix`, as it was sent.

    In the decoded path of the scope, bytes that are not UTF-8 have become U+FFFD, and `%2F` has
    become a slash. But the server follows that path: an application around this one may have
    shortened or replaced it, and left `raw_path` as it was.
    """
    path = exchange.path
    rest = path[len(prefix) :]
    raw = exchange.raw_path
    if raw is None:
        return quote(rest).encode()
    if "%" not in path and raw.endswith(path.encode()):
        return rest.encode()
    sent = decode_percent(raw, "path")
    # Starlette's TestClient decodes the path a second time.
    for decoded in (sent, unquote(sent)):
        if decoded.endswith(path):
            return raw[_raw_length(raw, (decoded.removesuffix(path) + prefix).encode()) :]
    if sent.replace("/", "").endswith(path.replace("/", "")):
        message = (
            "An application around the server has removed slashes; it has to pass on the path as "
            "it was sent"
        )
        raise InputError("Invalid path", details=[Detail("path", ("key",), message)])
    return quote(rest).encode()


_BYTE: Final = re.compile(rb"%[0-9A-Fa-f]{2}|.", re.DOTALL)


def _raw_length(raw: bytes, decoded: bytes) -> int:
    """Count the bytes at the start of `raw` that a decoded beginning takes."""
    if raw.startswith(decoded):
        return len(decoded)
    return sum(len(sent[0]) for sent in islice(_BYTE.finditer(raw), len(decoded)))


def decode_percent(text: bytes, location: str) -> str:
    """Decode percent-encoded UTF-8. A stray percent sign stays what it is."""
    decoded = unquote_to_bytes(text) if b"%" in text else text
    try:
        return decoded.decode()
    except UnicodeDecodeError as error:
        message = "The key is not UTF-8; percent-encode its UTF-8 bytes"
        raise InputError(message, details=[Detail(location, ("key",), message)]) from error
