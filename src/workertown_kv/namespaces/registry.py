"""Read and write the entries in which a storage keeps its namespaces.

The entries are in a namespace that no request can name. Their keys share one hash tag, so that a
storage of many servers can change several of them in one step.
"""

import hashlib
from typing import Final

import msgspec

from ..entry import RESERVED_NAMESPACE as _REGISTRY
from ..entry import Entry
from ..operations import MUST_NOT_EXIST, Delete, Get, List, Precondition, Set
from ..wire.namespaces import Namespace

_IDS: Final = "{namespaces}id:"
_TITLES: Final = "{namespaces}title:"
_TOMBSTONES: Final = "{namespaces}gone:"
_PAGE: Final = 1000


def get_key(key: str) -> Get:
    """Read the entry with a key that a page lists."""
    return Get(_REGISTRY, key)


# Each namespace has a record, under its id.


class _Record(msgspec.Struct, frozen=True):
    title: str
    account: str


def get_record(id: str) -> Get:
    """Read the record of a namespace."""
    return Get(_REGISTRY, _IDS + id)


def list_records(cursor: str | None) -> List:
    """List a page of the records."""
    return List(_REGISTRY, _IDS, _PAGE, cursor)


def set_record(namespace: Namespace, condition: Precondition = MUST_NOT_EXIST) -> Set:
    """Write the record of a namespace; it must be new unless the condition says otherwise."""
    record = msgspec.json.encode(_Record(namespace.title, namespace.account))
    return Set(namespace=_REGISTRY, key=_IDS + namespace.id, value=record, precondition=condition)


def delete_record(id: str, version: str) -> Delete:
    """Delete the record of a namespace, if it still has this version."""
    return Delete(_REGISTRY, _IDS + id, Precondition((version,)))


def namespace_in(record: Entry) -> Namespace:
    """Decode the record of a namespace."""
    fields = msgspec.json.decode(record.value, type=_Record)
    return Namespace(record.key.removeprefix(_IDS), fields.title, fields.account)


# Each title has a claim, under the title and its account: an account has a title only once.


def get_claim(title: str, account: str) -> Get:
    """Read the claim on a title."""
    return Get(_REGISTRY, _claim_key(title, account))


def set_claim(namespace: Namespace) -> Set:
    """Claim the title of a namespace, if the title is free."""
    return Set(
        namespace=_REGISTRY,
        key=_claim_key(namespace.title, namespace.account),
        value=msgspec.json.encode(namespace.id),
        precondition=MUST_NOT_EXIST,
    )


def require_free(title: str, account: str) -> Get:
    """Let a batch fail if the title is not free in the account."""
    return Get(_REGISTRY, _claim_key(title, account), MUST_NOT_EXIST)


def delete_claim(namespace: Namespace) -> Delete:
    """Make the title of a namespace free again."""
    return Delete(_REGISTRY, _claim_key(namespace.title, namespace.account))


def id_in(claim: Entry) -> str:
    """Decode the id of the namespace that has claimed a title."""
    return msgspec.json.decode(claim.value, type=str)


def _claim_key(title: str, account: str) -> str:
    # As a digest, since a title may be longer than a key.
    return _TITLES + hashlib.sha256(f"{account}/{title}".encode()).hexdigest()


# Each deleted namespace has a tombstone, under its id, while its keys are being removed.


def set_tombstone(id: str, now: float) -> Set:
    """Record that a namespace was deleted, and when."""
    return Set(namespace=_REGISTRY, key=_TOMBSTONES + id, value=msgspec.json.encode(now))


def require_not_deleted(id: str) -> Get:
    """Let a batch fail if a namespace was deleted, and its keys may not all be removed yet."""
    return Get(_REGISTRY, _TOMBSTONES + id, MUST_NOT_EXIST)


def list_tombstones(cursor: str | None) -> List:
    """List a page of the tombstones."""
    return List(_REGISTRY, _TOMBSTONES, _PAGE, cursor)


def id_of_tombstone(key: str) -> str:
    """Take the id of the deleted namespace from the key of its tombstone."""
    return key.removeprefix(_TOMBSTONES)


def deleted_at(tombstone: Entry | None) -> float:
    """Decode when a namespace was deleted; 0 if its tombstone no longer exists."""
    return 0.0 if tombstone is None else msgspec.json.decode(tombstone.value, type=float)


def delete_tombstone(key: str) -> Delete:
    """Delete the tombstone with this key."""
    return Delete(_REGISTRY, key)
