"""Find plain requests among the bytes on a socket, and answer them where they arrive.

A request is plain if its route says so, its connection stays open, its body is short, and it asks
for no other protocol. `Pipeline` answers it as it answers requests over ASGI, but without a task,
a scope and messages. uvicorn passes all other requests to the application.
"""

from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp

from .bounded_protocol import BoundedProtocol
from .known_fields import KnownBlocks, KnownFields
from .pipeline import Pipeline
from .plain_exchange import PlainExchange
from .server import Server

BODY_BYTES: Final = 64 * 1024
"""The longest body of a plain request."""

_ASGI_FIELDS: Final = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
"""The header fields that no plain request has."""

_METHODS: Final = {one.encode(): one for one in ("GET", "HEAD", "PUT", "DELETE")}

_KNOWN: Final = KnownBlocks()


class PlainProtocol(BoundedProtocol):
    """Answer the plain requests of a connection in place, in order with all others.

    Of uvicorn, this uses what `BoundedProtocol` and `PlainExchange` do, and that `cycle` is the
    request which is answered now, or was last.
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
                exchange.run()
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
            exchange.run()

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

    def _plain_exchange(self) -> PlainExchange | None:
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
    ) -> PlainExchange | None:
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


def _pipeline_of(app: object) -> Pipeline | None:
    return app.plain if isinstance(app, Server) else None
