"""The envelope: every answer of the native API, and the boundary where errors become answers."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import (
    Conflict,
    Detail,
    KvError,
    MethodNotAllowed,
    Overloaded,
    RateLimited,
    RequestTimeout,
    StorageError,
    StorageUnavailable,
    Unauthorized,
    ValueTooLarge,
)
from .request import UNCOUNTED_BYTES, header, hold
from .schemas import No, NoData

Headers = Sequence[tuple[bytes, bytes]]
SendError = Callable[[Scope, Send, Exception, str], Awaitable[None]]
"""Answers with an error, or with the request id alone where it is not for the client."""
Report = Callable[[Scope, Exception, str], None]
"""Called with each error of status 500, and the request id that the client is given."""
StorageFailed = Callable[[StorageError], None]
"""Called with each failure of the storage that a request has met."""

JOINED_BYTES: Final = 64 * 1024
"""Larger data is sent as it is between the two ends of the envelope, and not copied into it."""

PIECE_BYTES: Final = 256 * 1024
"""A longer answer is sent in such pieces: a server takes the next when the client has read some."""

_READ_BYTES: Final = 1024 * 1024
_READ_SECONDS: Final = 1

_LOG: Final = logging.getLogger("workertown_kv")
_OPENING: Final = b'{"status":200,"success":true,"data":'
_CLOSING: Final = b"}"
ENVELOPE_BYTES: Final = len(_OPENING + _CLOSING)
_JSON: Final = (b"content-type", b"application/json")
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer where something went wrong."""

    status: Annotated[int, Meta(description="The HTTP status")]
    success: No
    data: NoData
    error: Annotated[str, Meta(description="One line on what went wrong")]
    errors: Annotated[
        tuple[Detail, ...], Meta(description="Where it is known, each thing that is wrong")
    ] = ()


_encode: Final = msgspec.json.Encoder().encode


async def send_success(scope: Scope, send: Send, data: bytes, headers: Headers = ()) -> None:
    """Answer 200 with `data`, which is JSON text already."""
    if len(data) <= JOINED_BYTES:
        await send_bytes(scope, send, 200, (_OPENING + data + _CLOSING,), (_JSON, *headers))
    else:
        await send_bytes(scope, send, 200, (_OPENING, data, _CLOSING), (_JSON, *headers))


async def send_object(scope: Scope, send: Send, data: object, headers: Headers = ()) -> None:
    """Answer 200 with `data` made into JSON."""
    await send_success(scope, send, _encode(data), headers)


async def send_bytes(
    scope: Scope, send: Send, status: int, parts: Sequence[bytes], headers: Headers
) -> None:
    """Answer with these parts as the body, and no body where the request is a HEAD."""
    size = sum(map(len, parts))
    if size > UNCOUNTED_BYTES and scope["method"] != "HEAD":
        hold(scope, size)
    fields = [*headers, _NO_SNIFFING, (b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    if scope["method"] == "HEAD":
        parts = (b"",)
    last = len(parts) - 1
    for index, part in enumerate(parts):
        start = 0
        while len(part) - start > PIECE_BYTES:
            piece = part[start : start + PIECE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            start += PIECE_BYTES
        rest = part[start:] if start else part
        await send({"type": "http.response.body", "body": rest, "more_body": index < last})


class HalfAnAnswer(Exception):
    """An answer broke off, which cannot be mended; a broken connection at least shows it.

    What went wrong has been told already, and is the cause.
    """


class ErrorBoundary:
    """Middleware: the one place where errors become answers.

    Some doors have a form of their own for them; `form_of` says which a request wants. What is not
    a `KvError`, or is one of status 500, is told to the log alone; the answer has a request id by
    which to find it there.
    """

    def __init__(
        self,
        app: ASGIApp,
        report: Report | None = None,
        form_of: Callable[[Scope], SendError] | None = None,
        failed: StorageFailed | None = None,
    ) -> None:
        self.app = app
        self.report = report
        self.form_of = form_of or (lambda _: send_error)
        self.failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False
        unread = True

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        async def heard() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        try:
            await self.app(scope, heard, watched)
        except HalfAnAnswer:
            raise
        except Exception as error:
            failure = _storage_error(error)
            if failure is not None and self.failed is not None:
                self.failed(failure)
            request_id = "" if _is_public(error) else self._told(scope, error)
            if started:
                raise HalfAnAnswer from error
            if unread and not isinstance(error, ValueTooLarge | RequestTimeout):
                await _read_rest(scope, receive)
            await self.form_of(scope)(scope, send, error, request_id)

    def _told(self, scope: Scope, error: Exception) -> str:
        """Tell the log, and whoever else wants to know; the request id it is told under."""
        request_id = secrets.token_hex(8)
        path = scope.get("raw_path", scope["path"])
        _LOG.error(
            "request %s: %.20s %.1024s failed", request_id, scope["method"], path, exc_info=error
        )
        if self.report is not None:
            self.report(scope, error, request_id)
        return request_id


async def _read_rest(scope: Scope, receive: Receive) -> None:
    """Read what is left of a small body.

    A connection is closed where some of it is unread, and a client that is still sending then
    may see that in place of the answer.
    """
    length = header(scope, b"content-length")
    if header(scope, b"expect") or (length is None and not header(scope, b"transfer-encoding")):
        return
    left = _READ_BYTES if length is None or not length.isdigit() else int(length[:18])
    if left > _READ_BYTES:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_READ_SECONDS):
            while left >= 0:
                message = await receive()
                if not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))


async def send_error(scope: Scope, send: Send, error: Exception, request_id: str = "") -> None:
    """Answer with an error: its own words, or only `request_id` where it is not for the client."""
    if not isinstance(error, KvError) or request_id:
        failure = Failure(500, False, None, f"Internal error (request id {request_id})")
    else:
        failure = Failure(error.status, False, None, error.message, _details(error))
    headers = [_JSON, *headers_of(error, request_id)]
    await send_bytes(scope, send, failure.status, (_encode(failure),), headers)


def headers_of(error: Exception, request_id: str = "") -> Headers:
    """The header fields of an error, whatever the form of its answer."""
    if request_id:
        return [(b"x-request-id", request_id.encode())]
    match error:
        case MethodNotAllowed():
            return [(b"allow", ", ".join(error.allow).encode())]
        case Unauthorized():
            return [(b"www-authenticate", one.encode()) for one in error.challenges]
        case RateLimited():
            fields = [("retry-after", str(error.retry_after)), *error.fields]
            return [(name.encode(), text.encode()) for name, text in fields]
        case StorageUnavailable() | Overloaded():
            return [(b"retry-after", b"1")]
    return []


def _details(error: KvError) -> tuple[Detail, ...]:
    if isinstance(error, Conflict):
        return tuple(
            Detail("body", ("operations", index), "The precondition does not hold")
            for index in error.failed
        )
    return error.details


def _storage_error(error: BaseException | None) -> StorageError | None:
    """Return the failure of the storage that led to an error, if one did."""
    if isinstance(error, KvError) and error.status < 500:
        return None
    while error is not None and not isinstance(error, StorageError):
        error = error.__cause__
    return error


def _is_public(error: Exception) -> bool:
    return isinstance(error, KvError) and error.status != 500
