"""Make tickets, with which a client opens one stream without its credentials."""

import secrets
from typing import Final

import msgspec

from ..entry import DEFAULT_NAMESPACE, RESERVED_NAMESPACE
from ..errors import IdempotencyKeyReused, PreconditionFailed
from ..operations import MUST_NOT_EXIST, Batch, Get, Record, Set
from ..storage import Capability, Storage
from ..storage.tasks import in_task
from ..user import Fingerprint, Scope, User
from .interest import Interest
from .sealing import Sealer

TICKET_SECONDS: Final = 60
"""How long a ticket can be used."""

_PURPOSE: Final = b"ticket"
_USED: Final = "{changes}used:"
_USED_SECONDS: Final = 60
"""How long a used ticket is remembered after its end, since the clocks of servers differ."""


class TicketUser(User, frozen=True, kw_only=True):
    """The user of a ticket, whose credential may end."""

    until: float | None
    """When the credential ends, if it says so itself."""


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """A permission to watch, which names the credential for which it was made."""

    number: str
    expires_at: int
    namespace: str | None
    prefixes: tuple[str, ...]
    user_id: str
    strategy: str
    scopes: tuple[Scope, ...] | None
    until: float | None
    credential: Fingerprint | None = None

    @property
    def interest(self) -> Interest:
        """What it permits to watch."""
        return Interest(self.namespace, self.prefixes)

    @property
    def user(self) -> TicketUser:
        """The user for whom it was made."""
        return TicketUser(
            id=self.user_id,
            strategy=self.strategy,
            scopes=self.scopes,
            until=self.until,
            credential=self.credential,
        )


class Tickets:
    """Makes the tickets of a storage; all servers of the storage accept them."""

    def __init__(self, storage: Storage, sealer: Sealer) -> None:
        self._storage = storage
        self._sealer = sealer

    async def make(self, user: User, until: float | None, interest: Interest) -> tuple[str, int]:
        """Return a ticket as text, and when it ends.

        Raises `StorageUnsupported` if the storage cannot remember which tickets were used.
        """
        if Capability.RESERVED in self._storage.lacks and not self._storage.keeps_answers:
            raise self._storage.unsupported(Capability.RESERVED)
        expires_at = int(self._storage.clock()) + TICKET_SECONDS
        ticket = Ticket(
            secrets.token_hex(16),
            expires_at,
            interest.namespace,
            interest.prefixes,
            user.id,
            user.strategy,
            user.scopes,
            until,
            user.credential,
        )
        seal = await self._sealer.ready()
        return seal.seal(msgspec.json.encode(ticket), _PURPOSE), expires_at

    async def opened(self, text: str) -> Ticket | None:
        """Return the ticket in a text, `None` if it is none or has ended."""
        found = (await self._sealer.ready()).open(text, _PURPOSE)
        if found is None:
            return None
        ticket = msgspec.json.decode(found, type=Ticket)
        return ticket if self._storage.clock() < ticket.expires_at else None

    async def use(self, text: str) -> TicketUser | None:
        """Return the user of a ticket that was not used before, on any server."""
        ticket = await self.opened(text)
        if ticket is None:
            return None
        expires_at = ticket.expires_at + _USED_SECONDS
        try:
            if self._storage.keeps_answers:
                await self._use_elsewhere(ticket.number, expires_at)
            else:
                used = Set(
                    namespace=RESERVED_NAMESPACE,
                    key=_USED + ticket.number,
                    value=b"true",
                    expires_at=expires_at,
                    precondition=MUST_NOT_EXIST,
                )
                await self._storage.set(used)
        except (PreconditionFailed, IdempotencyKeyReused):
            return None
        return ticket.user

    async def _use_elsewhere(self, number: str, expires_at: float) -> None:
        """Let the server that is the storage keep an answer, which it does once for each key."""
        record = Record(
            namespace=RESERVED_NAMESPACE,
            key=number,
            expires_at=expires_at,
            request=secrets.token_hex(16),  # another use is another request
            make=lambda _: b"",
        )
        read = Get(DEFAULT_NAMESPACE, number)  # of a key that need not exist
        await in_task(self._storage.batch(Batch([read], record=record)))
