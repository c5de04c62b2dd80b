"""Make the routes of `endpoints.v1.changes`."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from ....changes import Feed, Sealer, Tickets, TicketUser
from ....errors import NotAcceptable
from ....http.answer import Answer
from ....http.exchange import AsgiExchange, Exchange
from ....http.fields import list_field
from ....http.route import Route
from ....namespaces import Namespaces
from ....options import Options
from ....storage import Capability
from ....user import User
from ..envelope import NATIVE_API
from .pages import Pages
from .streams import IsValid, Streams
from .tickets import TicketHandlers, hooks_check, ticket_in
from .watch import WatchDecoder

_EVENTS: Final = b"text/event-stream"

Renewed = Callable[[TicketUser], Awaitable[User | None]]
"""Returns the user of a ticket with the scopes of now, `None` if the credential has ended."""


class ChangeHandlers:
    """Handles requests about changes."""

    def __init__(
        self,
        feed: Feed,
        namespaces: Namespaces,
        options: Options,
        is_valid: IsValid,
        renewed: Renewed,
    ) -> None:
        assert options.changes is not False
        self._storage = feed.storage
        sealer = Sealer(feed.storage)
        self.streams = Streams(feed, sealer, options.changes.streams, is_valid)
        self._pages = Pages(feed, sealer)
        self._tickets = Tickets(feed.storage, sealer)
        limits = options.limits
        self._watches = WatchDecoder(namespaces, sealer, self._tickets, limits.key_bytes)
        self._making = TicketHandlers(
            self._tickets,
            self._watches,
            limits.body_seconds,
            feed.storage.clock,
            hooks_check=hooks_check(options.auth),
        )
        self._renewed = renewed

    async def get(self, exchange: Exchange) -> Answer | None:
        """Answer with a page of changes, or with a stream."""
        self._check_able()
        streams = exchange.method == "GET" and _wants_events(exchange)
        watch = await self._watches.decode(exchange, streams=streams)
        if not streams:
            return await self._pages.answer(exchange, watch)
        assert isinstance(exchange, AsgiExchange)
        if not exchange.can_stream:
            raise NotAcceptable("This host has no streams; expected ?wait= without this Accept")
        await self.streams.run(exchange, watch)
        return None

    async def make_ticket(self, exchange: Exchange) -> Answer:
        """Answer with a ticket for one stream."""
        self._check_able()
        return await self._making.make(exchange)

    async def user_of_ticket(self, exchange: Exchange) -> User | None:
        """Return the user whose ticket is in the query of a request, if it is valid."""
        text = ticket_in(exchange)
        if text is None or Capability.CHANGES in self._storage.lacks:
            return None
        user = await self._tickets.use(text)
        if user is None:
            return None
        now = await self._renewed(user)
        # The scopes may have become narrower since the ticket was made.
        return None if now is None else msgspec.structs.replace(user, scopes=now.scopes)

    def _check_able(self) -> None:
        if Capability.CHANGES in self._storage.lacks:
            raise self._storage.unsupported(Capability.CHANGES)

    def end(self, *, for_good: bool) -> None:
        """End all streams and all waiting, also those that begin later if it is `for_good`."""
        self.streams.end(for_good=for_good)
        self._pages.end(for_good=for_good)


def _wants_events(exchange: Exchange) -> bool:
    accept = list_field(exchange.fields, b"accept")
    return accept is not None and _EVENTS in accept.lower()


def change_routes(handlers: ChangeHandlers, prefix: str) -> list[Route]:
    """Return the routes of the group."""
    methods = {"GET": handlers.get, "HEAD": handlers.get}
    tickets = f"{prefix.rstrip('/')}/tickets"
    return [
        Route(
            NATIVE_API, prefix, methods, parameters=("namespace",), admit=handlers.user_of_ticket
        ),
        Route(NATIVE_API, tickets, {"POST": handlers.make_ticket}),
    ]
