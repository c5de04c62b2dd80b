"""Follow the changes of a storage: one reader for all who watch, and cursors that tell nothing."""

from .feed import Feed, Follower
from .interest import Interest, apart
from .published import Overlap, Published, listed, seen_of
from .sealing import Sealer
from .subscribers import Subscriber
from .tickets import Tickets, TicketUser
from .values import VALUES_AT_ONCE, load_values

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
    "listed",
    "load_values",
    "seen_of",
]
