"""The access log: one call for each request that was answered."""

from time import perf_counter
from typing import Final
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..options import Logger

PATH_BYTES: Final = 1024
"""How much of a path is logged; three dots stand for the rest."""

METHOD_CHARACTERS: Final = 20
"""How much of a method is logged, which may be any word."""

_PRINTABLE: Final = bytes(range(0x21, 0x7F))


class AccessLog:
    """Middleware: tells the logger the method, the path as it was sent, the status, and seconds.

    The path is percent-encoded, also where it was not when it was sent, so it has no line breaks.
    One of more than `PATH_BYTES` is cut. The query, which may hold a key, is left out. Values are
    nowhere near.
    """

    def __init__(self, app: ASGIApp, logger: Logger) -> None:
        self.app = app
        self.logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            raw: bytes = scope.get("raw_path") or scope["path"].encode("unicode_escape")
            raw = raw.partition(b"?")[0]
            path = quote(raw[:PATH_BYTES], safe=_PRINTABLE)
            if len(raw) > PATH_BYTES:
                path += "..."
            method = scope["method"][:METHOD_CHARACTERS]
            self.logger(method, path, status, perf_counter() - started)
