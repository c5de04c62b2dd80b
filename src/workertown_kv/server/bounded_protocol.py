"""Serve HTTP/1.1 with uvicorn's protocol, and bound what each client may take."""

import asyncio
import logging
import re
from collections import deque
from typing import Final, cast

import httptools
import msgspec
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from .lingering import LingeringTransport
from .refusals import Refused, check_repeated, refused_by
from .turn import Turn
from .upgrade import length_field, parser_after_head

TARGET_BYTES: Final = 65_534
MOST_FIELDS: Final = 100
HEAD_BYTES: Final = 128 * 1024
"""How long the request target and the header fields may be together."""

PIECE_BYTES: Final = 16 * 1024
"""The most bytes that the parser gets at once, since all requests in them wait in memory."""

LINGER_SECONDS: Final = 5
"""How long a client may continue to send after the last answer, so that it sees the answer."""

LINGER_BYTES: Final = 64 * 1024 * 1024
"""How much a client may continue to send; the largest body has half as many bytes."""

TLS_END_SECONDS: Final = 0.2
"""How long an idle client has to confirm the end of TLS when the server stops."""

_LOG: Final = logging.getLogger("workertown_kv")

_SLASH: Final = ord("/")
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_URL: Final = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Limit what the clients of a process may take."""

    client_seconds: int
    """How long a client may take to send the header fields, stay idle, or read nothing."""
    connections: int
    """How many connections may be open at once."""
    refused_at_once: int
    """How many further connections get an answer before they are closed."""


class BoundedProtocol(HttpToolsProtocol):
    """Serve a connection as uvicorn does, and bound time, header fields and connections.

    The owner calls `sweep` once a second, `use` to replace the application, and `shutdown` to end
    the connection after the answers under way. Time is counted in sweeps: a request sets `age` to
    0 and needs no timer.

    A subclass may answer a request in `answer_request`, instead of uvicorn's cycle. If it answers
    later than in that call, it overrides `is_answering`, `break_request` and `shutdown` too, and
    calls `on_response_complete` after each answer. It writes with `writer` only while
    `flow.write_paused` is false.

    Of uvicorn, this uses the methods that it overrides, the attributes that `__init__` sets
    (`app`, `connections`, `cycle`, `expect_100_continue`, `flow`, `headers`, `parser`, `pipeline`,
    `server_state`, `transport`, `url`), `_start_asgi_task`, of a cycle `body`, `disconnected`,
    `keep_alive`, `message_event`, `response_complete` and `response_started`, and that a cycle and
    the protocol end a connection by `transport.close`.
    """

    def __init__(
        self,
        bounds: Bounds,
        config: Config,
        server_state: ServerState,
        turn: Turn,
    ) -> None:
        super().__init__(config, server_state, {})
        self.bounds = bounds
        self._turn = turn
        self.url = b""
        self.headers = []
        self.fields: dict[bytes, bytes] = {}
        """The header fields of the request; the last of each name, in lower case."""
        self.is_in_body = False
        """Whether the header fields of a request have arrived, and its end has not."""
        self.age = 0
        """How many sweeps have passed since the client last did what the server waits for."""
        self._socket: asyncio.Transport = None  # type: ignore[assignment]
        self._silent_bytes = 0
        """Received since the request began, or since the last piece of its body."""
        self._rest = b""
        """Received, and not parsed until the requests before it are answered."""
        self._refusal: bytes | None = None
        """The last answer, once a request is refused; nothing more is parsed then."""
        self._hidden_body = b""
        """The field that gives the length of a body which the parser would skip."""
        self._unwritten = 0
        self._ignored_bytes = 0
        self._stays = False
        """Whether the connection stays open after the request, as far as HTTP goes."""
        self._is_ending = False

    # Called by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse the connection if there are too many."""
        super().connection_made(transport)
        self._socket = transport
        self.writer = LingeringTransport(transport, self, self._turn)
        self.transport = cast("asyncio.Transport", self.writer)
        excess = len(self.connections) - self.bounds.connections
        if excess > self.bounds.refused_at_once:
            transport.abort()
        elif excess > 0:
            self._refuse(Refused(503, "Too many connections at the moment; try again in 1 s"))

    def data_received(self, data: bytes) -> None:
        """Parse data, as long as the requests in it need not wait for one another."""
        if self.transport.is_closing():
            self._ignored_bytes += len(data)
            if self._ignored_bytes > LINGER_BYTES:
                self.abort()
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        start = 0
        while start < len(data) and self._refusal is None and not self.transport.is_closing():
            if self.pipeline:
                self._rest = data[start:]
                self.flow.pause_reading()
                return
            self._parse(data if len(data) <= PIECE_BYTES else data[start : start + PIECE_BYTES])
            start += PIECE_BYTES

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer the requests that are whole, although the client sends nothing more."""
        if self.is_in_body or not self.is_answering() or self.scheme == "https":
            return False  # the event loop closes the connection
        self.shutdown()
        self.cycle.message_event.set()  # an application that streams may want to end
        return True

    # Called by the parser

    def on_message_begin(self) -> None:
        """Begin a request; its header fields have time from now on."""
        super().on_message_begin()
        self.age = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; a field after the body means nothing here."""
        if not self.is_in_body:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Refuse what HTTP forbids and what is too large, and answer the rest."""
        headers = self.headers
        self.fields = fields = dict(headers)
        if self._silent_bytes > TARGET_BYTES or len(headers) > MOST_FIELDS:
            self._check_size(len(self.url) + sum(len(name) + len(text) for name, text in headers))
        if len(fields) != len(headers):
            check_repeated(headers)
        if b"host" not in fields and self.parser.get_http_version() != "1.0":
            raise Refused(400, "The header field Host is missing")
        if b"transfer-encoding" in fields:
            if self.parser.get_http_version() == "1.0":
                raise Refused(400, "HTTP/1.0 has no Transfer-Encoding; expected Content-Length")
            if fields[b"transfer-encoding"].lower() != b"chunked":
                raise Refused(501, "The Transfer-Encoding is not supported; expected chunked")
        if self.url[0] != _SLASH and self.url != b"*":
            self._take_path_of_url()
        if b"upgrade" in fields and self.parser.should_upgrade():
            self._hidden_body = length_field(fields)
        self.is_in_body = True
        self.answer_request()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body for the application."""
        self._silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Give the application the end of the body."""
        self._silent_bytes = 0
        if self.is_in_body and not self._hidden_body:
            self.is_in_body = False
            if self._stays and not (self._is_ending or self.cycle.response_started):
                self.cycle.keep_alive = True
            super().on_message_complete()

    # What a subclass may do in another way

    def answer_request(self) -> None:
        """Let the application answer the request whose header fields have arrived."""
        expect = self.fields.get(b"expect")
        if expect is not None and expect.lower() == b"100-continue":
            self.expect_100_continue = self.parser.get_http_version() != "1.0"
        super().on_headers_complete()
        self._stays = self.cycle.keep_alive
        if b"content-length" in self.fields or b"transfer-encoding" in self.fields:
            # An answer before the end of the body is the last: the rest may be long, or, if the
            # client has not got the answer 100, never come.
            self.cycle.keep_alive = False

    def is_answering(self) -> bool:
        """Return whether the connection has requests that are still to be answered."""
        cycle = self.cycle
        # uvicorn's type leaves out the time before the first request.
        is_any = cycle is not None
        return is_any and not (cycle.response_complete or cycle.disconnected)

    def break_request(self) -> bool:
        """Give up the request whose body is arriving; return whether it may still be refused."""
        cycle = self.cycle
        if self.pipeline:
            self.pipeline.popleft()
            return True
        if cycle.response_complete:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self.abort()
        return not cycle.response_started

    def use(self, app: ASGIApp) -> None:
        """Let another application answer all requests that no application answers yet."""
        self.app = cast("ASGI3Application", app)
        self.pipeline = deque((cycle, self.app) for cycle, _ in self.pipeline)

    # Called by the owner, and by uvicorn's cycle

    def on_response_complete(self) -> None:
        """Begin the next answer, and parse what has waited for this one."""
        self.age = 0
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._refusal is not None:
            self._send_refusal()
        if self.pipeline:
            return
        self.flow.resume_reading()
        if self._rest:
            self.data_received(b"")

    def shutdown(self) -> None:
        """Close the connection after the answers to the requests that have arrived."""
        self._is_ending = True
        if self.scheme == "https" and not self.is_answering():
            # A client that has nothing to send may not look at the end of TLS, either.
            self.loop.call_later(TLS_END_SECONDS, self.abort)
        super().shutdown()

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        self._socket.abort()

    def sweep(self) -> None:
        """Close the connection if the client has kept the server waiting for too long."""
        seconds = self.bounds.client_seconds
        if self.flow.write_paused or self.transport.is_closing():
            unwritten = self._socket.get_write_buffer_size()
            if unwritten != self._unwritten:
                self._unwritten = unwritten
                self.age = 0
            if not unwritten:
                seconds = min(seconds, LINGER_SECONDS)
        elif self.is_answering():
            return
        self.age += 1
        if self.age > seconds:
            self.abort()

    # Refusals

    def _parse(self, data: bytes) -> None:
        if not self.is_in_body and not data.isascii():
            data = self._with_ascii_target(data)
        try:
            while data:
                self._silent_bytes += len(data)
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    # Nothing is upgraded: the answer is in HTTP/1.1, and so is what follows.
                    data = data[upgrade.args[0] :]
                    if self._hidden_body:
                        self.parser = parser_after_head(self, self._hidden_body)
                        self._hidden_body = b""
            if self._silent_bytes:
                self._check_size(self._silent_bytes)
        except Refused as refused:
            self._refuse(refused)
        except httptools.HttpParserError as error:
            self._refuse(refused_by(error))

    def _with_ascii_target(self, data: bytes) -> bytes:
        """Percent-encode what a client such as curl has left unencoded in the request target."""
        if self._silent_bytes and self.headers:
            return data  # these are header fields
        end = data.find(b"\r\n")
        line = data if end < 0 else data[:end]
        if line.isascii():
            return data
        return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], line) + data[len(line) :]

    def _check_size(self, size: int) -> None:
        """Refuse a request with a target or header fields that are too large."""
        if len(self.url) > TARGET_BYTES:
            raise Refused(414, f"The request target has more than {TARGET_BYTES:,} bytes")
        if size > HEAD_BYTES:
            raise Refused(431, f"The header fields have more than {HEAD_BYTES:,} bytes")
        if len(self.headers) > MOST_FIELDS:
            raise Refused(431, f"The request has more than {MOST_FIELDS} header fields")

    def _take_path_of_url(self) -> None:
        """Take the path and the host of a request target that is a URL, as proxies send it."""
        url = _URL.fullmatch(self.url)
        if url is None:
            raise Refused(400, "The request target is neither a path nor a URL")
        host, target = url.groups()
        self.url = target if target.startswith(b"/") else b"/" + target
        # The host in the URL replaces the field (RFC 9112, 3.2.2).
        self.headers[:] = [one for one in self.headers if one[0] != b"host"] + [(b"host", host)]
        self.fields[b"host"] = host

    def _refuse(self, refused: Refused) -> None:
        """Parse nothing more, and refuse the request after the answers to those before it."""
        self._rest = b""
        self._refusal = refused.answer(self.server_state.default_headers)
        if self.is_in_body and not self.break_request():
            self._refusal = b""
        if not self.is_answering():
            self._send_refusal()

    def _send_refusal(self) -> None:
        if self._refusal and not self.transport.is_closing():
            self.transport.write(self._refusal)
        self.writer.linger()
