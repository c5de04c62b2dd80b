"""Reading requests: what every door needs to know of one."""

import asyncio
import re
from itertools import islice
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.types import Receive, Scope

from ..entry import is_utf8
from ..errors import Detail, InputError, RequestTimeout, UnsupportedMediaType, ValueTooLarge
from ..user import User

FIELD_BYTES: Final = 8 * 1024
"""The longest header field that is taken apart."""

UNCOUNTED_BYTES: Final = 64 * 1024
"""What a smaller body or answer takes of memory is not counted."""

BODY_COPIES: Final = 2
"""A body, and what is made of it: the value, and a copy on its way into the storage."""

SLOWEST_BYTES: Final = 16 * 1024
"""How many bytes a second a body has to bring at least, once its time is up."""


def user_of(scope: Scope) -> User:
    """Who makes the request. The guard has put them there, for every path that is not public."""
    return scope["user"]  # type: ignore[no-any-return]


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the header field of this name (in lower case), as it was sent.

    The guard refuses a request that has several of one name of which there can only be one.
    """
    for field, value in scope["headers"]:
        if field == name:
            return value  # type: ignore[no-any-return]
    return None


def header_list(scope: Scope, name: bytes) -> bytes | None:
    """Return all header fields of this name (in lower case), joined as RFC 9110, 5.3 has it.

    Raises `InputError` where they are too long to be taken apart.
    """
    found = [value for field, value in scope["headers"] if field == name]
    return short_enough(b",".join(found), name) if found else None


def short_enough(field: bytes, name: bytes) -> bytes:
    """Return the header field. Raises `InputError` if it is longer than `FIELD_BYTES`."""
    if len(field) > FIELD_BYTES:
        message = f"Expected at most {FIELD_BYTES:,} bytes"
        raise InputError("Invalid header", details=[Detail("header", (name.decode(),), message)])
    return field


def route_path(scope: Scope) -> str:
    """The path, decoded, relative to where the application is mounted."""
    path: str = scope["path"]
    if path.endswith("/") and len(path) > 1 and not _was_sent_with_slash(scope):
        path = path[:-1]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def _was_sent_with_slash(scope: Scope) -> bool:
    """Tell whether the slash at the end of the path is the client's: Litestar adds one."""
    raw = _raw_path(scope)
    return raw is None or raw[-5:].upper().endswith((b"/", b"%2F", b"%252F"))


def _raw_path(scope: Scope) -> bytes | None:
    raw: bytes | None = scope.get("raw_path")
    return None if raw is None else raw.partition(b"?")[0]


def rest_of_path(scope: Scope, prefix: str) -> str:
    """What follows `prefix` in the route's path, percent-decoded once as UTF-8."""
    return decode_percent(raw_rest_of_path(scope, prefix), "path")


def raw_rest_of_path(scope: Scope, prefix: str) -> bytes:
    """What follows `prefix` in the route's path, as it was sent.

    In the decoded path of the scope, bytes that are not UTF-8 have become U+FFFD, and it no longer
    tells `%2F` from a slash. But it is the path that counts: an application around this one may
    have shortened it, or put another in its place, and left `raw_path` as it was.
    """
    path = route_path(scope)
    rest = path[len(prefix) :]
    raw = _raw_path(scope)
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
    return sum(len(one[0]) for one in islice(_BYTE.finditer(raw), len(decoded)))


def decode_percent(text: bytes, location: str) -> str:
    """Percent-decoded UTF-8. A stray percent sign stays what it is."""
    decoded = unquote_to_bytes(text) if b"%" in text else text
    try:
        return decoded.decode()
    except UnicodeDecodeError as error:
        message = "The key is not UTF-8; percent-encode its UTF-8 bytes"
        raise InputError(message, details=[Detail(location, ("key",), message)]) from error


def query(scope: Scope, accepted: tuple[str, ...]) -> dict[str, str]:
    """The parameters of the query. Raises `InputError` for one that is unknown or repeated."""
    text: bytes = scope.get("query_string", b"")
    parameters: dict[str, str] = {}
    for pair in text.split(b"&") if text else ():
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition(b"=")
        name = _query_text(raw_name)
        if name not in accepted:
            raise bad_query(
                name[:100], f"Unknown parameter. Expected {' or '.join(accepted)}; {_MARK}"
            )
        if name in parameters:
            raise bad_query(name, "Expected this parameter once")
        parameters[name] = _query_text(raw_value, name)
    return parameters


_MOST_DIGITS: Final = 18
_MARK: Final = "a question mark in a key is sent as %3F"


def _query_text(text: bytes, name: str | None = None) -> str:
    decoded = unquote_to_bytes(text.replace(b"+", b" "))
    try:
        return decoded.decode()
    except UnicodeDecodeError as error:
        name = name or repr(text[:100])[2:-1]
        raise bad_query(name, "Expected percent-encoded UTF-8") from error


def bad_query(name: str, message: str) -> InputError:
    """The error for a query parameter that cannot be used."""
    return InputError("Invalid query", details=[Detail("query", (name,), message)])


def check_json(scope: Scope) -> None:
    """Accept bodies that say they are JSON."""
    content_type = header(scope, b"content-type")
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        got = f"got {content_type[:100].decode('latin-1')}" if content_type else "there is none"
        raise UnsupportedMediaType(f"Expected Content-Type: application/json; {got}")


def check_not_encoded(scope: Scope) -> None:
    """Accept bodies that are sent as they are: nothing here would undo a `Content-Encoding`."""
    encoding = header(scope, b"content-encoding")
    if encoding and encoding.strip().lower() != b"identity":
        raise UnsupportedMediaType(
            f"Expected a body without Content-Encoding; got {encoding[:100].decode('latin-1')}"
        )


async def read_body(
    scope: Scope, receive: Receive, limit: int, what: str, *, seconds: float
) -> bytes | bytearray:
    """The body, of at most `limit` bytes, which has `seconds` and a little more to arrive.

    Raises `UnsupportedMediaType` for one that is compressed, `ValueTooLarge` as soon as it is known
    to have more, without reading the rest, `RequestTimeout` for one that trickles in, and
    `Overloaded` where other requests take the memory for it.
    """
    check_not_encoded(scope)
    counted = 0
    too_large = f"The body has more than {limit:,} bytes, the most that {what} may have"
    length = header(scope, b"content-length")
    if length is not None:
        if not length.isdigit() or len(length) > _MOST_DIGITS:
            raise InputError("Expected a Content-Length in decimal digits")
        if int(length) > limit:
            raise ValueTooLarge(too_large)
    try:
        async with asyncio.timeout(seconds) as allowed:
            deadline = allowed.when() or 0.0
            message = await receive()
            body: bytes | bytearray = message.get("body", b"")
            if message.get("more_body"):
                body = bytearray(body)
            while True:
                if message["type"] == "http.disconnect":
                    raise InputError("The body ended before it was whole")
                if len(body) > limit:
                    raise ValueTooLarge(too_large)
                if len(body) - counted > UNCOUNTED_BYTES:
                    hold(scope, BODY_COPIES * (len(body) - counted))
                    counted = len(body)
                if not message.get("more_body"):
                    return body
                allowed.reschedule(deadline + len(body) / SLOWEST_BYTES)
                message = await receive()
                body += message.get("body", b"")
    except TimeoutError as error:
        raise RequestTimeout(f"The body did not arrive within {seconds} s") from error


def hold(scope: Scope, size: int) -> None:
    """Count so many bytes for as long as the request is under way. Raises `Overloaded`."""
    held = scope.get("memory")
    if held is not None and size > UNCOUNTED_BYTES:
        held.add(size)


def expect(scope: Scope, size: int) -> None:
    """Count the answer of a write before it is done. Raises `Overloaded`."""
    held = scope.get("memory")
    if held is not None and size > UNCOUNTED_BYTES:
        held.expect(size)


def check_utf8(body: bytes | bytearray) -> None:
    """Accept bodies in UTF-8, the encoding of JSON (RFC 8259, 8.1)."""
    if not body.isascii() and not is_utf8(body):
        raise InputError(
            "Invalid request body", details=[Detail("body", (), "Expected JSON in UTF-8")]
        )
