"""Answer a plain request: run the pipeline, if possible without a task, and write the answer."""

import asyncio
import logging
from collections.abc import Coroutine, Generator, Sequence
from functools import partial
from types import coroutine
from typing import Any, Final, cast

from starlette.types import Message, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ..http.answer import Fields
from ..http.exchange import PIECE_BYTES, Exchange
from ..http.request_id import FIELD
from ..http.route import Route
from ..storage.tasks import OutcomeFuture
from .bounded_protocol import BoundedProtocol
from .known_fields import KnownFields
from .pipeline import Pipeline

_ID_AND_END: Final = b"\r\n%b: %%b\r\n\r\n" % FIELD
_ID_CLOSE_AND_END: Final = b"\r\n%b: %%b\r\nconnection: close\r\n\r\n" % FIELD
"""The last header fields: the id of the request, and whether the connection ends."""

_NOBODY_WAITS: Final = asyncio.Event()

_LOG: Final = logging.getLogger("workertown_kv")


class PlainExchange(Exchange):
    """Hold a plain request, and answer it.

    While the answer waits for something, this is the `cycle` of the protocol, so it has the
    attributes of uvicorn's cycle that the protocol uses. Of uvicorn's protocol, this uses `client`,
    `cycle`, `loop`, `scheme`, `server`, `server_state`, `tasks` and `transport`.
    """

    __slots__ = (
        "_answering",
        "_ended",
        "_pipeline",
        "_protocol",
        "disconnected",
        "keep_alive",
        "known",
        "loop",
        "message_event",
        "response_complete",
        "response_started",
    )

    body: bytes
    loop: asyncio.AbstractEventLoop
    """That of the protocol, since asyncio asks the system before it says which loop runs."""

    def __init__(
        self,
        protocol: BoundedProtocol,
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
        self.known = known
        self._pipeline = pipeline
        self._protocol = protocol
        self.body = b""
        self.is_unread = False
        self.disconnected = False
        self.keep_alive = True

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

    def run(self) -> None:
        """Answer the request whose body is here, now or once the answer has what it waits for."""
        answering = self._pipeline.run(self)
        try:
            # Most answers wait for nothing, so they need no task.
            awaited = answering.send(None)
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  (whatever it is, only this connection ends)
            self._break_off()
        else:
            self._become_cycle()
            self._answering = answering
            self._wait(awaited)

    def _become_cycle(self) -> None:
        """Become the cycle of the protocol until the answer is complete."""
        self.response_started = self.response_complete = False
        self.message_event = _NOBODY_WAITS
        self._ended: asyncio.Task[None] | None = None
        """Ends with the answer. Whatever waits for the tasks of the server waits for it, too."""
        self._protocol.cycle = cast("RequestResponseCycle", self)

    def _wait(self, awaited: Any) -> None:
        """Let the answer go on once it has what it waits for."""
        tasks = self._protocol.tasks
        if type(awaited) is OutcomeFuture:
            awaited._asyncio_future_blocking = False  # noqa: SLF001  (a task does so too)
            awaited.then = self._resume
            if self._ended is None:
                self._ended = cast("asyncio.Task[None]", self.loop.create_future())
                tasks.add(self._ended)
            return
        task = self.loop.create_task(self._go_on(awaited))
        task.add_done_callback(tasks.discard)
        tasks.add(task)
        if self._ended is not None:
            tasks.discard(self._ended)  # `tasks` counts each request once

    def _resume(self) -> None:
        try:
            awaited = self._answering.send(None)
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  (whatever it is, only this connection ends)
            self._break_off()
        else:
            self._wait(awaited)
            return
        self._end()

    async def _go_on(self, awaited: Any) -> None:
        try:
            await _rest_of(self._answering, awaited)
        except Exception:  # noqa: BLE001  (whatever it is, only this connection ends)
            self._break_off()
        finally:
            self._end()

    def _end(self) -> None:
        self.response_complete = True
        protocol, ended = self._protocol, self._ended
        if ended is not None and not ended.done():
            protocol.tasks.discard(ended)
            cast("asyncio.Future[None]", ended).set_result(None)
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()

    def _break_off(self) -> None:
        _LOG.exception("request %s: the answer broke off", self.request_id)
        self._protocol.transport.close()

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
