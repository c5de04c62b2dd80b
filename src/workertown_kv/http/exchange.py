"""Hold a request and what the server knows of it, and send its answer."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.types import Message, Receive, Scope, Send

from ..user import User
from .answer import NO_SNIFFING, Answer, Fields, merged
from .fields import with_repeated
from .memory import UNCOUNTED_BYTES, Held, Memory
from .path import route_path
from .request_id import FIELD, REQUEST_IDS, accepted_id

if TYPE_CHECKING:
    from ..storage.wrappers.audited import Act
    from .route import Route

PIECE_BYTES: Final = 256 * 1024
"""A longer answer is sent in pieces of this size. An HTTP server takes the next piece when the
client has read some."""

NOBODY: Final = User(id="", strategy="", scopes=())
"""The user of a request that the guard has not admitted, or that needs no credentials."""

WHOLE: Final = "workertown_kv.whole"
"""In the scope of a host that passes on an answer only once it is whole."""

_NONE: Final[frozenset[bytes]] = frozenset()


class Trail(Protocol):
    """Takes what a request does, or is refused to do."""

    reads: bool
    """Whether it takes reads too."""

    def note(self, act: "Act") -> None:
        """Note an act that is over."""


class HalfAnAnswer(Exception):
    """An answer broke off after it had begun. Only a broken connection can show that to the client.

    The cause of this exception has been logged already.
    """


class Exchange:
    """Holds a request and sends its answer, over any protocol."""

    __slots__ = (
        "_memory",
        "body",
        "extra",
        "fields",
        "held",
        "id",
        "is_unread",
        "method",
        "path",
        "query",
        "raw_path",
        "repeated",
        "route",
        "sent_bytes",
        "status",
        "trail",
        "user",
    )

    route: "Route"
    """The route of the request, and with it the API; it is set before the pipeline runs."""

    def __init__(
        self,
        method: str,
        path: str,
        raw_path: bytes | None,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        fields: dict[bytes, bytes],
        memory: Memory,
    ) -> None:
        self._memory = memory
        self.method = method
        self.path = path
        """The path, decoded, relative to the path at which the server is mounted."""
        self.raw_path = raw_path
        """The path as it was sent, without the query; `None` if the HTTP server does not say."""
        self.query = query
        self.fields = fields
        """The header fields by their names in lower case; lists are joined by a comma."""
        self.repeated = _NONE
        """The names of the header fields that the request has several times."""
        if len(self.fields) != len(headers):
            self.fields, self.repeated = with_repeated(headers)
        sent_id = self.fields.get(FIELD)
        self.id = REQUEST_IDS.new() if sent_id is None else accepted_id(sent_id)
        """The id that the client has sent with the request, or a new id."""
        self.user = NOBODY
        self.trail: Trail | None = None
        """Takes what the request does, if there is an audit log."""
        self.extra: Fields = ()
        """Header fields of any answer, also to an error."""
        self.status = 0
        """The status of the answer, once it has begun."""
        self.sent_bytes = 0
        """The bytes of the body of the answer, as far as it has been sent."""
        self.body: bytes | None = None
        """The body of the request if it has arrived as a whole; else `None`, and `receive` has it.
        """
        self.is_unread = True
        """Whether part of the body of the request is still unread."""
        self.held: Held | None = None
        """The memory for bodies and answers that the request holds."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop that answers the request."""
        raise NotImplementedError

    @property
    def scope(self) -> Scope:
        """Return the ASGI scope, for functions and applications of the operator's own."""
        raise NotImplementedError

    @property
    def request_id(self) -> str:
        """Return the id of the request as text."""
        return self.id.decode()

    @property
    def client(self) -> Sequence[Any] | None:
        """Return the address at the other end of the connection, with its port, if it is known."""
        raise NotImplementedError

    @property
    def received_bytes(self) -> int:
        """Return how many bytes of the body of the request have been read."""
        raise NotImplementedError

    @property
    def template(self) -> str:
        """Return the path of the request without keys and ids, `other` for all unknown paths."""
        return self.route.template_of(self)

    async def receive(self) -> Message:
        """Take the next message of the request."""
        raise NotImplementedError

    async def _transmit(
        self, status: int, fields: Fields, parts: Sequence[bytes], size: int
    ) -> None:
        """Send an answer whose body has `size` bytes, with the id of the request."""
        raise NotImplementedError

    async def answer(self, answer: Answer) -> None:
        """Send the answer; for a `HEAD` request, without the body."""
        status, fields, parts = answer.status, answer.fields, answer.parts
        size = 0
        if parts:
            for part in parts:
                size += len(part)
            fields = [*fields, NO_SNIFFING, (b"content-length", b"%d" % size)]
            if self.method == "HEAD":
                parts, size = (), 0
            elif size > UNCOUNTED_BYTES:
                self.hold(size)
        if self.extra:
            fields = merged(fields, self.extra)
        self.status = status
        self.sent_bytes = size
        await self._transmit(status, fields, parts, size)

    def hold(self, size: int) -> None:
        """Hold `size` bytes of memory until the answer has been sent. Raises `Overloaded`."""
        if size > UNCOUNTED_BYTES and self.user is not NOBODY:
            self._holding().add(size)

    def expect(self, size: int) -> None:
        """Hold memory for the answer to a write before the write is done. Raises `Overloaded`."""
        if size > UNCOUNTED_BYTES and self.user is not NOBODY:
            self._holding().expect(size)

    def release(self) -> None:
        """Give back all memory that the request holds."""
        if self.held is not None:
            self.held.release()
            self.held = None

    def _holding(self) -> Held:
        if self.held is None:
            self.held = Held(self._memory, self.user)
        return self.held


class AsgiExchange(Exchange):
    """Holds a request that an ASGI server has received.

    An ASGI application inside the server is called with its `receive` and `send`.
    """

    __slots__ = ("_receive", "_received_bytes", "_scope", "_send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, memory: Memory) -> None:
        self._scope = scope
        self._receive = receive
        self._received_bytes = 0
        self._send = send
        path: str = scope["path"]
        if path[-1:] == "/" or scope.get("root_path"):
            path = route_path(scope)
        raw: bytes | None = scope.get("raw_path")
        if raw is not None and b"?" in raw:
            raw = raw.partition(b"?")[0]
        method = scope.get("method", "GET")  # a websocket has none
        query = scope.get("query_string", b"")
        headers = scope["headers"]
        super().__init__(method, path, raw, query, headers, dict(headers), memory)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @property
    def scope(self) -> Scope:
        return self._scope

    @property
    def client(self) -> Sequence[Any] | None:
        return self._scope.get("client")

    @property
    def received_bytes(self) -> int:
        return self._received_bytes

    async def receive(self) -> Message:
        message = await self._receive()
        self.is_unread = message.get("more_body", False)
        self._received_bytes += len(message.get("body", b""))
        return message

    @property
    def can_stream(self) -> bool:
        """Return whether the client gets each piece of an answer at once."""
        return WHOLE not in self._scope

    async def begin_stream(self, fields: Fields) -> None:
        """Begin an answer 200 whose body comes in pieces, as they are made."""
        fields = [*fields, NO_SNIFFING, (FIELD, self.id)]
        if self.extra:
            fields = merged(fields, self.extra)
        self.status = 200
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})

    async def send_piece(self, piece: bytes, *, more: bool = True) -> None:
        """Send a piece of the body. It waits while the client does not read."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        self.sent_bytes += len(piece)

    async def send(self, message: Message) -> None:
        """Pass on a message of an answer that an application inside the server has made."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [*self.extra, (FIELD, self.id)]
            message = {**message, "headers": merged(message.get("headers", ()), extra)}
        await self._send(message)
        if self.method != "HEAD":
            self.sent_bytes += len(message.get("body", b""))

    async def _transmit(
        self, status: int, fields: Fields, parts: Sequence[bytes], size: int
    ) -> None:
        fields = [*fields, (FIELD, self.id)]
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        if size > PIECE_BYTES or len(parts) > 1:
            await self._send_in_pieces(parts)
        else:
            body = parts[0] if parts else b""
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_in_pieces(self, parts: Sequence[bytes]) -> None:
        last = len(parts) - 1
        for index, part in enumerate(parts):
            start = 0
            while len(part) - start > PIECE_BYTES:
                piece = part[start : start + PIECE_BYTES]
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                start += PIECE_BYTES
            rest = part[start:] if start else part
            more = index < last
            await self._send({"type": "http.response.body", "body": rest, "more_body": more})
