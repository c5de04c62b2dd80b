"""Follow the changes of a storage: one reader for all who watch, and cursors that tell nothing."""

from .feed import VALUES_AT_ONCE, Feed, Follower, Overlap, Published, Subscriber
from .interest import Interest, apart
from .sealing import Sealer
from .tickets import Tickets, TicketUser

__all__ = [
    "VALUES_AT_ONCE",
    "Feed",
    "Follower",
    "Interest",
    "Overlap",
    "Published",
    "Sealer",
    "Subscriber",
    "TicketUser",
    "Tickets",
    "apart",
]
