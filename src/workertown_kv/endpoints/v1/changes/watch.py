"""Decode what a request watches, and from where on."""

from collections.abc import Mapping
from typing import Final

import msgspec

from ....changes import Interest, Sealer, Tickets, TicketUser, apart
from ....changes.sealing import Seal
from ....errors import InputError
from ....http.exchange import Exchange
from ....http.fields import NAMESPACE_FIELD, list_field
from ....http.query import bad_query, query_with_list
from ....namespaces import Namespaces
from ...namespace import namespace_of

MOST_PREFIXES: Final = 100
MOST_CHANGES: Final = 1000
"""The largest page of changes, and the default."""
MOST_VALUES: Final = 100
"""The largest page of changes with their values."""
MOST_SECONDS: Final = 60
"""How long a request may wait for a change."""

_PURPOSE: Final = b"cursor"
_ALL: Final = "*"
_LAST_ID: Final = b"last-event-id"
_PARAMETERS: Final = (
    "namespace",
    "since",
    "initial",
    "values",
    "limit",
    "wait",
    "precise",
    "ticket",
)


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A position in the changes and, before them, in the entries that are there already."""

    cursor: str
    prefix: str | None = None
    """The prefix whose entries come next; `None` after all entries."""
    page: str | None = None
    """The cursor of the listing of these entries."""

    def sealed(self, seal: Seal) -> str:
        """Return the text that clients get."""
        return seal.seal(msgspec.json.encode(self), _PURPOSE)

    @classmethod
    def opened(cls, sealed: str, seal: Seal) -> "Position":
        """Return the position in a text of a client. Raises `InputError`."""
        text = seal.open(sealed, _PURPOSE)
        if text is None:
            raise InputError(
                "This is no cursor of changes of this storage; expected the cursor of a page, or "
                "the id of an event"
            )
        return msgspec.json.decode(text, type=cls)


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What a request watches."""

    interest: Interest
    since: Position | None
    initial: bool
    values: bool
    precise: bool
    limit: int
    wait: float


class WatchDecoder:
    """Decodes requests, whose users see only what they may read."""

    def __init__(
        self, namespaces: Namespaces, sealer: Sealer, tickets: Tickets, key_bytes: int
    ) -> None:
        self._namespaces = namespaces
        self._sealer = sealer
        self._tickets = tickets
        self._key_bytes = key_bytes

    async def decode(self, exchange: Exchange, *, streams: bool) -> Watch:
        """Return what a request watches. Raises `InputError` and `Forbidden`."""
        parameters, prefixes = query_with_list(exchange, _PARAMETERS, "prefix")
        if len(prefixes) > MOST_PREFIXES:
            raise bad_query("prefix", f"Expected at most {MOST_PREFIXES} prefixes")
        for prefix in prefixes:
            if len(prefix.encode()) > self._key_bytes:
                raise bad_query("prefix", f"Expected at most {self._key_bytes:,} bytes")
        for name in ("limit", "wait") if streams else ():
            if name in parameters:
                raise bad_query(name, "Expected without Accept: text/event-stream only")
        initial = _flag(parameters, "initial")
        values = _flag(parameters, "values")
        limit = _limit(parameters.get("limit"))
        since = await self._since(exchange, parameters.get("since"))
        ticket = parameters.get("ticket")
        if ticket is None:
            interest = await self.interest(exchange, parameters.get("namespace"), prefixes or [""])
        elif prefixes or "namespace" in parameters:
            raise bad_query("ticket", "Expected no prefix or namespace, since the ticket has them")
        else:
            interest = await self._interest_of_ticket(exchange, ticket)
        if initial and interest.namespace is None:
            raise bad_query("initial", "Expected a single namespace to begin with its entries")
        if since is not None and since.prefix not in (None, *interest.prefixes):
            raise bad_query("since", "Expected the same prefixes as before")
        return Watch(
            interest=interest,
            since=since,
            initial=initial,
            values=values,
            precise=_flag(parameters, "precise"),
            limit=min(limit, MOST_VALUES) if values else limit,
            wait=_wait(parameters.get("wait")),
        )

    async def _since(self, exchange: Exchange, since: str | None) -> Position | None:
        # An EventSource that connects again repeats the first query, so the field wins.
        last_id = list_field(exchange.fields, _LAST_ID)
        sealed = since if not last_id else last_id.decode("latin-1")
        return None if sealed is None else Position.opened(sealed, await self._sealer.ready())

    async def _interest_of_ticket(self, exchange: Exchange, text: str) -> Interest:
        ticket = await self._tickets.opened(text)
        if ticket is None or not isinstance(exchange.user, TicketUser):
            raise bad_query("ticket", "Expected a ticket without other credentials")
        if ticket.namespace is None:
            exchange.user.check_reads_everything()
            return ticket.interest
        prefixes = exchange.user.readable_prefixes(ticket.namespace, ticket.prefixes)
        return Interest(ticket.namespace, apart(prefixes))

    async def interest(self, exchange: Exchange, name: str | None, prefixes: list[str]) -> Interest:
        """Return the interest in these prefixes, as far as the user may read them."""
        user = exchange.user
        if name == _ALL and NAMESPACE_FIELD not in exchange.fields:
            user.check_reads_everything()
            return Interest(None, apart(prefixes))
        namespace = await namespace_of(exchange, self._namespaces, name, fresh=False)
        return Interest(namespace, apart(user.readable_prefixes(namespace, prefixes)))


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    text = parameters.get(name, "false")
    if text not in ("true", "false"):
        raise bad_query(name, "Expected true or false")
    return text == "true"


def _limit(text: str | None) -> int:
    if text is None:
        return MOST_CHANGES
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_CHANGES:
        return int(text)
    raise bad_query("limit", f"Expected a whole number from 1 to {MOST_CHANGES:,}")


def _wait(text: str | None) -> float:
    if text is None:
        return 0.0
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if digits.isascii() and digits.isdigit() and len(text) <= 9 and float(text) <= MOST_SECONDS:
        return float(text)
    raise bad_query("wait", f"Expected seconds from 0 to {MOST_SECONDS}")
