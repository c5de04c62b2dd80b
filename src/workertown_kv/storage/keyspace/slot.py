"""The slot of a key. A cluster keeps all keys of a slot on one server."""

from binascii import crc_hqx
from typing import Final

SLOTS: Final = 16384


def key_slot(key: bytes) -> int:
    """Return the slot of a key, or of its hash tag, as Redis Cluster specifies it."""
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else key, 0) % SLOTS
