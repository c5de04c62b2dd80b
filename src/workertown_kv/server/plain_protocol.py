"""Answer plain requests where they arrive: from the bytes on the socket to one write.

A request is plain if its route says so, its connection stays open, its body is short, and it asks
for no other protocol. `Pipeline` answers it as it answers requests over ASGI, but without a task,
a scope and messages. uvicorn passes all other requests to the application.
"""

import asyncio
import logging
from collections.abc import Coroutine, Generator, Sequence
from functools import partial
from types import coroutine
from typing import Any, Final, cast
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ..http.answer import Fields
from ..http.exchange import PIECE_BYTES, Exchange
from ..http.request_id import FIELD
from ..http.route import Route
from ..storage.tasks import OutcomeFuture
from .bounded_protocol import BoundedProtocol
from .known_fields import KnownBlocks, KnownFields
from .pipeline import Pipeline
from .server import Server

BODY_BYTES: Final = 64 * 1024
"""The longest body of a plain request."""

_ASGI_FIELDS: Final = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
"""The header fields that no plain request has."""

_METHODS: Final = {one.encode(): one for one in ("GET", "HEAD", "PUT", "DELETE")}

_ID_AND_END: Final = b"\r\n%b: %%b\r\n\r\n" % FIELD
_ID_CLOSE_AND_END: Final = b"\r\n%b: %%b\r\nconnection: close\r\n\r\n" % FIELD
"""The last header fields: the id of the request, and whether the connection ends."""

_NOBODY_WAITS: Final = asyncio.Event()
_KNOWN: Final = KnownBlocks()

_LOG: Final = logging.getLogger("workertown_kv")


class PlainProtocol(BoundedProtocol):
    """A connection that answers its plain requests in place, in order with all others.

    Of uvicorn, this uses what `BoundedProtocol` does, `scheme`, `server`, `client` and `tasks`,
    and that `cycle` is the request which is answered now, or was last.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._pipeline = _pipeline_of(self.app)
        self._arriving: PlainExchange | None = None
        """The plain request whose body has not arrived as a whole."""
        self._requests = 0
        """How many requests the parser has found the beginning of."""
        self._is_in_request = False
        """Whether the parser has found the beginning of a request, and not its end."""
        self._plain: PlainExchange | None = None
        """The last request, if it was plain."""

    def use(self, app: ASGIApp) -> None:
        """Let another application answer all requests that no application answers yet."""
        super().use(app)
        self._pipeline = _pipeline_of(app)
        self._pass_on_arriving()

    def shutdown(self) -> None:
        """Close the connection after the answers to the requests that have arrived."""
        self._pass_on_arriving()
        super().shutdown()

    def sweep(self) -> None:
        """Let the application bound the time of a body, and this class that of everything else."""
        self._pass_on_arriving()
        super().sweep()

    def data_received(self, data: bytes) -> None:
        """Answer a request that is remembered without parsing it, and parse everything else."""
        pipeline = self._pipeline
        if pipeline is None:
            super().data_received(data)
            return
        if self._is_in_request or self.is_in_body or self._rest:
            super().data_received(data)
            return
        known = _KNOWN.find(data)
        if known is not None and self._is_ready(pipeline):
            line, fields, body = known
            method, raw_path, query = line.groups(b"")
            exchange = self._exchange(pipeline, _METHODS[method], raw_path, query, fields)
            if exchange is not None:
                exchange.body = body
                self.age = 0
                self._answer(exchange)
                return
        requests = self._requests
        super().data_received(data)
        if self._requests == requests + 1 and self._plain is not None:
            _KNOWN.keep(data, self._plain.known)

    def on_message_begin(self) -> None:
        """Begin a request. Only the application needs a scope for it."""
        self._requests += 1
        self._is_in_request = True
        self._plain = None
        self.age = 0
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def answer_request(self) -> None:
        """Answer a plain request once its body is here, and let the application answer others."""
        self._arriving = self._plain_exchange()
        if self._arriving is None:
            self._begin_scope()
            super().answer_request()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._arriving is None:
            super().on_body(body)
        else:
            self._silent_bytes = 0
            self._arriving.body += body

    def on_message_complete(self) -> None:
        """Answer the request if it is plain."""
        self._is_in_request = False
        exchange, self._arriving = self._arriving, None
        if exchange is None:
            super().on_message_complete()
        else:
            self._silent_bytes = 0
            self.is_in_body = False
            self._plain = exchange
            self._answer(exchange)

    def break_request(self) -> bool:
        """Give up the request whose body is arriving; return whether it may still be refused."""
        if self._arriving is None:
            return super().break_request()
        self._arriving = None
        return True

    def _pass_on_arriving(self) -> None:
        exchange, self._arriving = self._arriving, None
        if exchange is not None:
            self._begin_scope()
            super().answer_request()
            super().on_body(exchange.body)

    def _begin_scope(self) -> None:
        """Do what uvicorn does at the start of a request, although its fields are here already."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers += headers

    def _plain_exchange(self) -> "PlainExchange | None":
        """Return the request whose header fields have arrived if it is plain, else `None`."""
        pipeline, url, parser = self._pipeline, self.url, self.parser
        if (
            pipeline is None
            or not url.isascii()
            or b"#" in url
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
            or not self._is_ready(pipeline)
        ):
            return None
        method = _METHODS.get(parser.get_method())
        fields = self.fields
        if method is None or not _ASGI_FIELDS.isdisjoint(fields):
            return None
        text = fields.get(b"content-length", b"0")
        length = int(text) if len(text) <= 5 else BODY_BYTES + 1
        if length > BODY_BYTES:
            return None
        raw_path, _, query = url.partition(b"?")
        known = KnownFields(self.headers, fields, length)
        return self._exchange(pipeline, method, raw_path, query, known)

    def _exchange(
        self, pipeline: Pipeline, method: str, raw_path: bytes, query: bytes, known: KnownFields
    ) -> "PlainExchange | None":
        path = raw_path.decode("ascii")
        if "%" in path:
            path = unquote(path)
        route = pipeline.table.find(path, known.fields)
        if method not in route.plain_methods:
            return None
        return PlainExchange(self, pipeline, route, method, path, raw_path, query, known)

    def _is_ready(self, pipeline: Pipeline) -> bool:
        """Return whether an answer could be written now, and the server is open."""
        return not (
            self.is_answering()
            or self.flow.write_paused
            or self._refusal is not None
            or self.writer.is_closing()
            or pipeline.lifecycle.opened_on is not self.loop
        )

    def _answer(self, exchange: "PlainExchange") -> None:
        answering = exchange.pipeline.run(exchange)
        try:
            # Most answers wait for nothing, so they need no task.
            awaited = answering.send(None)
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  (whatever it is, only this connection ends)
            self._break_off(exchange)
        else:
            exchange.await_answer()
            self.cycle = cast("RequestResponseCycle", exchange)
            self._wait(exchange, answering, awaited)

    def _wait(
        self, exchange: "PlainExchange", answering: Coroutine[Any, Any, None], awaited: Any
    ) -> None:
        """Let the answer go on once it has what it waits for."""
        if type(awaited) is OutcomeFuture:
            awaited._asyncio_future_blocking = False  # noqa: SLF001  (a task does so too)
            awaited.then = partial(self._resume, exchange, answering)
            if exchange.ended is None:
                exchange.ended = cast("asyncio.Task[None]", self.loop.create_future())
                self.tasks.add(exchange.ended)
            return
        task = self.loop.create_task(self._go_on(exchange, answering, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        if exchange.ended is not None:
            self.tasks.discard(exchange.ended)  # `tasks` counts each request once

    def _resume(self, exchange: "PlainExchange", answering: Coroutine[Any, Any, None]) -> None:
        try:
            awaited = answering.send(None)
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  (whatever it is, only this connection ends)
            self._break_off(exchange)
        else:
            self._wait(exchange, answering, awaited)
            return
        self._end(exchange)

    async def _go_on(
        self, exchange: "PlainExchange", answering: Coroutine[Any, Any, None], awaited: Any
    ) -> None:
        try:
            await _rest_of(answering, awaited)
        except Exception:  # noqa: BLE001  (whatever it is, only this connection ends)
            self._break_off(exchange)
        finally:
            self._end(exchange)

    def _end(self, exchange: "PlainExchange") -> None:
        exchange.response_complete = True
        ended = exchange.ended
        if ended is not None and not ended.done():
            self.tasks.discard(ended)
            cast("asyncio.Future[None]", ended).set_result(None)
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _break_off(self, exchange: "PlainExchange") -> None:
        _LOG.exception("request %s: the answer broke off", exchange.request_id)
        self.transport.close()


def _pipeline_of(app: object) -> Pipeline | None:
    return app.plain if isinstance(app, Server) else None


@coroutine
def _rest_of(running: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Run a coroutine to its end that has run until it awaited something."""
    while True:
        try:
            given = yield awaited
        except BaseException as error:  # noqa: BLE001  (it is raised where the coroutine waits)
            go_on = partial(running.throw, error)
        else:
            go_on = partial(running.send, given)
        try:
            awaited = go_on()
        except StopIteration:
            return


class PlainExchange(Exchange):
    """A plain request and its answer.

    While the answer waits for something, this is the `cycle` of the protocol, so it has the
    attributes of uvicorn's cycle that the protocol uses.
    """

    __slots__ = (
        "_protocol",
        "disconnected",
        "ended",
        "keep_alive",
        "known",
        "loop",
        "message_event",
        "pipeline",
        "response_complete",
        "response_started",
    )

    body: bytes
    loop: asyncio.AbstractEventLoop
    """That of the protocol, since asyncio asks the system before it says which loop runs."""

    def __init__(
        self,
        protocol: PlainProtocol,
        pipeline: Pipeline,
        route: Route,
        method: str,
        path: str,
        raw_path: bytes,
        query: bytes,
        known: KnownFields,
    ) -> None:
        headers, fields = known.headers, known.fields
        super().__init__(method, path, raw_path, query, headers, fields, pipeline.memory)
        self.route = route
        self.loop = protocol.loop
        self.pipeline = pipeline
        self.known = known
        self._protocol = protocol
        self.body = b""
        self.is_unread = False
        self.disconnected = False
        self.keep_alive = True

    def await_answer(self) -> None:
        """Become the cycle of the protocol until the answer is complete."""
        self.response_started = self.response_complete = False
        self.message_event = _NOBODY_WAITS
        self.ended: asyncio.Task[None] | None = None
        """Ends with the answer. Whatever waits for the tasks of the server waits for it, too."""

    @property
    def client(self) -> tuple[str, int] | None:
        return self._protocol.client

    @property
    def received_bytes(self) -> int:
        return len(self.body)

    @property
    def scope(self) -> Scope:
        protocol = self._protocol
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "scheme": protocol.scheme,
            "path": self.path,
            "raw_path": self.raw_path,
            "query_string": self.query,
            "root_path": "",
            "headers": self.known.headers,
            "server": protocol.server,
            "client": protocol.client,
        }

    async def receive(self) -> Message:
        return {"type": "http.disconnect"}  # `body` has everything

    async def _transmit(
        self, status: int, fields: Fields, parts: Sequence[bytes], size: int
    ) -> None:
        protocol = self._protocol
        flow, writer = protocol.flow, protocol.writer
        if flow.write_paused:
            await flow.drain()
        # A request behind this one may have learned in its place that the client is gone.
        if self.disconnected or writer.is_closing():
            return
        self.response_started = True
        end = (_ID_AND_END if self.keep_alive else _ID_CLOSE_AND_END) % self.id
        lines = b"\r\n".join(map(b": ".join, (*protocol.server_state.default_headers, *fields)))
        if size <= PIECE_BYTES:
            writer.gather(b"".join((STATUS_LINE[status], lines, end, *parts)))
            return
        writer.write(b"".join((STATUS_LINE[status], lines, end)))
        for part in parts:
            for start in range(0, len(part), PIECE_BYTES):
                if flow.write_paused:
                    await flow.drain()
                if writer.is_closing():
                    return
                writer.write(part[start : start + PIECE_BYTES])
