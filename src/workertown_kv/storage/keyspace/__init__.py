"""Keep entries in the keys of a Redis, reached over its own protocol or over Upstash's.

Each storage reads the entries of the other. `docs/storages/redis.md` has the layout.
"""

from .call import Argument, Call
from .engine import Engine
from .parameters import KeyspaceParameters
from .scripts import Script
from .storage import KeyspaceStorage
from .transport import Lost, Transport

__all__ = [
    "Argument",
    "Call",
    "Engine",
    "KeyspaceParameters",
    "KeyspaceStorage",
    "Lost",
    "Script",
    "Transport",
]
