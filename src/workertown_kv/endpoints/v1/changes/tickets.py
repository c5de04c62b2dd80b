"""Answer with tickets for streams, and find the users of tickets."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ....changes import Tickets
from ....errors import Detail, InputError
from ....http.answer import Answer
from ....http.body import check_json, check_utf8, read_body
from ....http.exchange import Exchange
from ....http.query import query
from ....options import AuthOptions
from ....storage import Clock
from ....user import User
from ..envelope import object_answer
from .watch import MOST_PREFIXES, WatchDecoder

HOOK_SECONDS: Final = 3600
"""How long a stream may last if only a hook knows whether the credential is still valid.

The hook needs the credential or its request, and a ticket has neither.
"""

_BODY_BYTES: Final = 512 * 1024
_NO_STORE: Final = [(b"cache-control", b"no-store")]


class TicketBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a ticket is for."""

    prefixes: Annotated[
        tuple[str, ...],
        Meta(description="The prefixes of the keys; without them, all keys"),
    ] = ("",)
    namespace: (
        Annotated[str, Meta(description="The id or title of a namespace, or * for all")] | None
    ) = None


class TicketData(msgspec.Struct, frozen=True):
    """A ticket."""

    ticket: Annotated[str, Meta(description="For the parameter `ticket` of one request")]
    expires_at: Annotated[int, Meta(description="When it ends, in Unix seconds")]


_DECODER: Final = msgspec.json.Decoder(TicketBody)


class TicketHandlers:
    """Handles requests for tickets."""

    def __init__(
        self,
        tickets: Tickets,
        watches: WatchDecoder,
        body_seconds: int,
        clock: Clock,
        *,
        hooks_check: bool,
    ) -> None:
        self._tickets = tickets
        self._watches = watches
        self._body_seconds = body_seconds
        self._clock = clock
        self._hooks_check = hooks_check

    async def make(self, exchange: Exchange) -> Answer:
        """Answer with a ticket for one stream."""
        query(exchange, ())
        check_json(exchange)
        body = await read_body(exchange, _BODY_BYTES, "a ticket", seconds=self._body_seconds)
        wanted = _decoded(body)
        interest = await self._watches.interest(
            exchange, wanted.namespace, list(wanted.prefixes or ("",))
        )
        user = exchange.user
        until = _end_of(user)
        if self._hooks_check:
            latest = self._clock() + HOOK_SECONDS
            until = latest if until is None else min(until, latest)
        return object_answer(
            TicketData(*await self._tickets.make(user, until, interest)), _NO_STORE
        )


def hooks_check(auth: AuthOptions) -> bool:
    """Return whether hooks decide which credentials are valid."""
    groups = (auth.api_key, auth.basic, auth.jwt)
    return auth.authenticate_request is not None or any(
        getattr(group, "verify_credentials", None) is not None for group in groups
    )


def ticket_in(exchange: Exchange) -> str | None:
    """Return the ticket in the query of a request, which may have anything else in it."""
    for pair in exchange.query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"ticket" and value.isascii():
            return value.decode()
    return None


def _end_of(user: User) -> float | None:
    """Return when the token of a user ends, if the user has one."""
    expires_at = (user.claims or {}).get("exp")
    return float(expires_at) if isinstance(expires_at, int | float) else None


def _decoded(body: bytes | bytearray) -> TicketBody:
    check_utf8(body)
    try:
        decoded = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        message = 'Expected an object such as {"prefixes": ["flags/"]}'
        raise InputError("Invalid request body", details=[Detail("body", (), message)]) from error
    if len(decoded.prefixes) > MOST_PREFIXES:
        message = f"Expected at most {MOST_PREFIXES} prefixes"
        detail = Detail("body", ("prefixes",), message)
        raise InputError("Invalid request body", details=[detail])
    return decoded
