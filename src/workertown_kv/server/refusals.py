"""Refuse requests before any API is known, in the form of the native API."""

import logging
from collections.abc import Iterable
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ..endpoints.v1.envelope import error_answer
from ..errors import KvError
from ..http.answer import NO_SNIFFING

_LOG: Final = logging.getLogger("workertown_kv")

# Versions of Python differ in these phrases. A Worker shows its user that of Cloudflare.
STATUS_LINE[413] = b"HTTP/1.1 413 Payload Too Large\r\n"
STATUS_LINE[414] = b"HTTP/1.1 414 URI Too Long\r\n"


class Refused(KvError):
    """Refuse a request before its API is known, with the envelope of the native API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def answer(self, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the last answer on a connection, with these further header fields."""
        answer = error_answer(self)
        body = b"".join(answer.parts)
        length = (b"content-length", b"%d" % len(body))
        lines = [*fields, *answer.fields, NO_SNIFFING, length, (b"connection", b"close")]
        if self.status == 503:
            lines.append((b"retry-after", b"1"))
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        return b"%b%b\r\n%b" % (STATUS_LINE[self.status], head, body)


def check_repeated(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a request with several header fields that say where it goes, or where it ends."""
    names = [name for name, _ in headers]
    for name in (b"host", b"transfer-encoding"):
        if names.count(name) > 1:
            raise Refused(400, f"The header field {name.decode()} is repeated; expected only one")


def refused_by(error: httptools.HttpParserError) -> Refused:
    """Return the refusal of a request that the parser, or a callback of it, did not accept."""
    if not isinstance(error, httptools.HttpParserCallbackError):
        return Refused(400, f"The request is not valid HTTP/1.1: {error}")
    cause = error.__context__
    if isinstance(cause, Refused):
        return cause
    _LOG.error("A request could not be answered", exc_info=cause)
    return Refused(500, "Internal error")
