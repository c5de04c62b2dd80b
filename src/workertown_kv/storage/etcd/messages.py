"""Define the messages of etcd's API, as its JSON gateway has them.

msgspec encodes bytes in base64, as the gateway does. The gateway leaves out what is empty or zero,
and has large numbers as text, so answers are decoded without strictness.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

Message = dict[str, Any]
Operations = Sequence[Message]

MOST_OPERATIONS: Final = 128
"""How many operations a transaction may have (`--max-txn-ops`)."""


class Header(msgspec.Struct, frozen=True):
    """The state of the cluster when it answered."""

    revision: int = 0


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key of etcd."""

    key: bytes = b""
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    """How often the key was written since it was created."""


class RangeAnswer(msgspec.Struct, frozen=True):
    """The keys of a range, and whether there are more than were asked for."""

    header: Header = Header()
    kvs: list[KeyValue] = []
    more: bool = False


class PutAnswer(msgspec.Struct, frozen=True):
    """The key as it was before a put, if it was asked for."""

    prev_kv: KeyValue | None = None


class DeleteAnswer(msgspec.Struct, frozen=True):
    """How many keys were deleted."""

    deleted: int = 0


class Answer(msgspec.Struct, frozen=True):
    """The answer to an operation of a transaction."""

    response_range: RangeAnswer = RangeAnswer()
    response_put: PutAnswer = PutAnswer()
    response_delete_range: DeleteAnswer = DeleteAnswer()
    response_txn: "TxnAnswer | None" = None

    @property
    def txn(self) -> "TxnAnswer":
        """Return the answer to a transaction in the transaction."""
        assert self.response_txn is not None
        return self.response_txn


class TxnAnswer(msgspec.Struct, frozen=True):
    """Which operations a transaction did, and their answers."""

    header: Header = Header()
    succeeded: bool = False
    """Whether all comparisons held."""
    responses: list[Answer] = []

    @property
    def found(self) -> list[KeyValue]:
        """Return the keys that its first operation, a read, found."""
        return self.responses[0].response_range.kvs if self.responses else []


class Event(msgspec.Struct, frozen=True, gc=False):
    """A change of a key of etcd."""

    kv: KeyValue = KeyValue()
    type: str = "PUT"


class Watched(msgspec.Struct, frozen=True):
    """A message of a watch."""

    events: list[Event] = []
    canceled: bool = False
    compact_revision: int = 0


class WatchedLine(msgspec.Struct, frozen=True):
    """A line of the stream of a watch."""

    result: Watched = Watched()
    error: dict[str, Any] | None = None


def txn(compare: Operations, success: Operations, failure: Operations = ()) -> Message:
    """Make a transaction: one of two lists of operations, by comparisons that must all hold."""
    return {"compare": compare, "success": success, "failure": failure}


def inside(transaction: Message) -> Message:
    """Make a transaction an operation of another."""
    return {"request_txn": transaction}


def read(key: bytes, end: bytes | None = None, **more: Any) -> Message:
    """Read a key, or the keys from `key` up to `end`."""
    return {"request_range": _keys(key, end) | more}


def put(key: bytes, value: bytes, **more: Any) -> Message:
    """Write a key."""
    return {"request_put": {"key": key, "value": value, **more}}


def delete(key: bytes, end: bytes | None = None) -> Message:
    """Delete a key, or the keys from `key` up to `end`."""
    return {"request_delete_range": _keys(key, end)}


def is_absent(key: bytes) -> Message:
    """Compare: there is no such key."""
    return {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": 0}


def is_present(key: bytes) -> Message:
    """Compare: there is such a key."""
    return {"key": key, "target": "CREATE", "result": "GREATER", "create_revision": 0}


def is_at(key: bytes, revision: int) -> Message:
    """Compare: the key was written last at a revision. 0: there is no such key."""
    return {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision}


def is_value(key: bytes, value: bytes) -> Message:
    """Compare: the key has a value."""
    return {"key": key, "target": "VALUE", "result": "EQUAL", "value": value}


def is_above(key: bytes, value: bytes) -> Message:
    """Compare: there is the key, and its value comes after another in the order of bytes."""
    return {"key": key, "target": "VALUE", "result": "GREATER", "value": value}


def is_below(key: bytes, value: bytes) -> Message:
    """Compare: there is the key, and its value comes before another in the order of bytes."""
    return {"key": key, "target": "VALUE", "result": "LESS", "value": value}


def _keys(key: bytes, end: bytes | None) -> Message:
    return {"key": key} if end is None else {"key": key, "range_end": end}
