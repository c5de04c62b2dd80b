"""Follow the changes of a storage: one reader for all who watch, and cursors that tell nothing."""

from .feed import Feed, Follower
from .interest import Interest, apart
from .published import Overlap, Published, published_changes, published_entries
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
    "load_values",
    "published_changes",
    "published_entries",
]
