"""Entries in the keys of a Redis, however that is reached: over its protocol, or over Upstash's.

Who comes by one way reads what another has written. `docs/storages/redis.md` has the layout.
"""

from .call import Argument, Call
from .engine import Engine
from .parameters import KeyspaceParameters
from .scripts import Script
from .storage import KeyspaceStorage
from .transport import Transport

__all__ = [
    "Argument",
    "Call",
    "Engine",
    "KeyspaceParameters",
    "KeyspaceStorage",
    "Script",
    "Transport",
]
