"""Make the routes of `endpoints.v1.changes`."""

from typing import Final

from ....changes import Feed, Sealer
from ....errors import NotAcceptable
from ....http.answer import Answer
from ....http.exchange import AsgiExchange, Exchange
from ....http.fields import list_field
from ....http.route import Route
from ....namespaces import Namespaces
from ....options import ChangesOptions, LimitsOptions
from ....storage import Capability
from ..envelope import NATIVE_API
from .pages import Pages
from .streams import IsValid, Streams
from .watch import WatchDecoder

_EVENTS: Final = b"text/event-stream"


class ChangeHandlers:
    """Handles requests about changes."""

    def __init__(
        self,
        feed: Feed,
        namespaces: Namespaces,
        options: ChangesOptions,
        limits: LimitsOptions,
        is_valid: IsValid,
    ) -> None:
        self._storage = feed.storage
        sealer = Sealer(feed.storage)
        self.streams = Streams(feed, sealer, options.streams, is_valid)
        self._pages = Pages(feed, sealer)
        self._watches = WatchDecoder(namespaces, sealer, limits.key_bytes)

    async def get(self, exchange: Exchange) -> Answer | None:
        """Answer with a page of changes, or with a stream."""
        storage = self._storage
        if Capability.CHANGES in storage.lacks:
            raise storage.unsupported(Capability.CHANGES)
        streams = exchange.method == "GET" and _wants_events(exchange)
        watch = await self._watches.decode(exchange, streams=streams)
        if not streams:
            return await self._pages.answer(exchange, watch)
        assert isinstance(exchange, AsgiExchange)
        if not exchange.can_stream:
            raise NotAcceptable("This host has no streams; expected ?wait= without this Accept")
        await self.streams.run(exchange, watch)
        return None

    def end(self) -> None:
        """End all streams and all waiting, so that the server can stop."""
        self.streams.end()
        self._pages.end()


def _wants_events(exchange: Exchange) -> bool:
    accept = list_field(exchange.fields, b"accept")
    return accept is not None and _EVENTS in accept.lower()


def change_routes(handlers: ChangeHandlers, prefix: str) -> list[Route]:
    """Return the routes of the group."""
    return [Route(NATIVE_API, prefix, {"GET": handlers.get, "HEAD": handlers.get})]
