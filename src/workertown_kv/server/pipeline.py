"""Take every request through the server, from its first byte to the last byte of its answer."""

from time import perf_counter
from typing import Protocol

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from ..access import AddressFilter, AuditLog, Cors, RateLimit
from ..auth import Guard
from ..errors import KvError
from ..http.answer import Answer
from ..http.exchange import AsgiExchange, Exchange
from ..http.memory import Memory
from ..tracing import Tracing
from .apis import ELSEWHERE, RouteTable
from .failures import Failures
from .lifecycle import Lifecycle


class Watcher(Protocol):
    """Observes requests and their answers, as the access log does."""

    def observe(self, exchange: Exchange, seconds: float) -> None:
        """Observe a request that is over, after so many seconds.

        Its `status` is 0 if there was no answer. The request waits for the observer, and
        `exchange.template`, `client` and `received_bytes` are computed when they are used.
        """


class Pipeline(msgspec.Struct, kw_only=True, eq=False):
    """Takes each request from step to step; any step may refuse it by raising an error."""

    table: RouteTable
    lifecycle: Lifecycle
    guard: Guard
    failures: Failures
    memory: Memory
    cors: Cors | None
    addresses: AddressFilter | None
    limit: RateLimit | None
    audit: AuditLog | None
    tracing: Tracing | None
    """Traces requests, all of which then come over ASGI."""
    watchers: list[Watcher]
    others: ASGIApp
    """The router of the operator's own routes."""
    lifespan: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        exchange = AsgiExchange(scope, receive, send, self.memory)
        if kind == "websocket":
            await self._connect(exchange, receive, send)
            return
        exchange.route = self.table.find(exchange.path, exchange.fields, exchange.method)
        if self.tracing is None:
            await self.run(exchange)
            return
        with self.tracing.recorder.request(exchange):
            await self.run(exchange)

    async def run(self, exchange: Exchange) -> None:
        """Answer a request whose route is known."""
        started = perf_counter()
        if self.audit is not None:
            exchange.trail = self.audit.trail(exchange)
        try:
            answer = await self._answer(exchange)
            if answer is not None:
                await exchange.answer(answer)
        except Exception as error:  # noqa: BLE001  (whatever it is, it gets an answer)
            exchange.release()
            await exchange.answer(await self.failures.answer(exchange, error))
        finally:
            if exchange.held is not None:
                exchange.release()
            if self.watchers:
                seconds = perf_counter() - started
                for watcher in self.watchers:
                    watcher.observe(exchange, seconds)

    async def _answer(self, exchange: Exchange) -> Answer | None:
        """Return the answer, `None` if one of the operator's own routes has sent it."""
        if self.cors is not None:
            preflight = self.cors.preflight(exchange) if exchange.method == "OPTIONS" else None
            if preflight is not None:
                return preflight
            exchange.extra = self.cors.fields(exchange)
        await self._admit(exchange)
        route = exchange.route
        if route is not ELSEWHERE:
            return await route.answer(exchange)
        assert isinstance(exchange, AsgiExchange)
        # A copy: an application around the server may have a user of its own in the scope.
        scope = {**exchange.scope, "user": exchange.user}
        await self.others(scope, exchange.receive, exchange.send)
        return None

    async def _admit(self, exchange: Exchange) -> None:
        """Admit a request, or raise the error for which it is refused."""
        if self.lifecycle.opened_on is not exchange.loop:
            await self.lifecycle.open_for(exchange)
        if self.addresses is not None:
            self.addresses.check(exchange)
        limit = self.limit
        if limit is not None and not limit.counts_users:
            await limit.count(exchange)
        await self.guard.admit(exchange)
        if limit is not None and limit.counts_users:
            await limit.count(exchange)

    async def _connect(self, exchange: AsgiExchange, receive: Receive, send: Send) -> None:
        """Let a websocket through to one of the operator's own routes, or close it."""
        exchange.route = ELSEWHERE  # no API has websockets
        try:
            await self._admit(exchange)
            self.guard.check_socket(exchange)
        except KvError:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.others({**exchange.scope, "user": exchange.user}, receive, send)
