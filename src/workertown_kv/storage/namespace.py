"""What a namespace is, and the entries that say so.

They are in a namespace that no request can name. All their keys have one hash tag, so that a
storage of many servers can change them at one moment.
"""

import hashlib
from typing import Annotated, Final

import msgspec

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE, Entry
from ..operations import MUST_NOT_EXIST, Delete, Get, List, Precondition, Set

TITLE_CHARACTERS: Final = 512
"""The most characters of a title; Workers KV has the same limit."""

_REGISTRY: Final = "workertown-kv"
_IDS: Final = "{namespaces}id:"
_TITLES: Final = "{namespaces}title:"
_GONE: Final = "{namespaces}gone:"
_PAGE: Final = 1000


class Namespace(msgspec.Struct, frozen=True, omit_defaults=True):
    """A namespace: its id never changes and is never used again, its title may change."""

    id: Annotated[
        str,
        msgspec.Meta(
            description="The id, which stays", extra_json_schema={"pattern": "^[0-9a-f]{32}$"}
        ),
    ]
    title: Annotated[str, msgspec.Meta(description="The title, which may change")]
    account: Annotated[
        str,
        msgspec.Meta(
            description="The account of Cloudflare's REST API that it belongs to, where there are "
            "several"
        ),
    ] = ""

    @property
    def name(self) -> str:
        """What operations call it."""
        return DEFAULT_NAMESPACE if self.id == DEFAULT_ID else self.id


DEFAULT: Final = Namespace(DEFAULT_ID, DEFAULT_NAMESPACE)


class _Kept(msgspec.Struct, frozen=True):
    title: str
    account: str


# By their ids: the namespaces themselves.


def record_at(id: str) -> Get:
    """Asks for a namespace."""
    return Get(_REGISTRY, _IDS + id)


def records(cursor: str | None) -> List:
    """Asks for the keys of a page of namespaces."""
    return List(_REGISTRY, _IDS, _PAGE, cursor)


def record_of(key: str) -> Get:
    """Asks for a namespace by what a page says of it."""
    return Get(_REGISTRY, key)


def record(namespace: Namespace, condition: Precondition = MUST_NOT_EXIST) -> Set:
    """Writes a namespace, as one that is new unless the condition says otherwise."""
    kept = msgspec.json.encode(_Kept(namespace.title, namespace.account))
    return Set(namespace=_REGISTRY, key=_IDS + namespace.id, value=kept, precondition=condition)


def record_removed(id: str, version: str) -> Delete:
    """Removes a namespace, if it is at this version."""
    return Delete(_REGISTRY, _IDS + id, Precondition((version,)))


def namespace_in(entry: Entry) -> Namespace:
    """The namespace that an entry is."""
    kept = msgspec.json.decode(entry.value, type=_Kept)
    return Namespace(entry.key.removeprefix(_IDS), kept.title, kept.account)


# By their titles: which namespace has one. Two cannot have the same in one account.


def claim_at(title: str, account: str) -> Get:
    """Asks which namespace has a title."""
    return Get(_REGISTRY, _title_key(title, account))


def claim(namespace: Namespace) -> Set:
    """Takes a title, if nobody has it."""
    return Set(
        namespace=_REGISTRY,
        key=_title_key(namespace.title, namespace.account),
        value=msgspec.json.encode(namespace.id),
        precondition=MUST_NOT_EXIST,
    )


def unclaimed(title: str, account: str) -> Get:
    """Asks for a title to be nobody's."""
    return Get(_REGISTRY, _title_key(title, account), MUST_NOT_EXIST)


def claim_removed(namespace: Namespace) -> Delete:
    """Gives a title back."""
    return Delete(_REGISTRY, _title_key(namespace.title, namespace.account))


def claimed_by(entry: Entry) -> str:
    """The id of the namespace that has a title."""
    return msgspec.json.decode(entry.value, type=str)


def _title_key(title: str, account: str) -> str:
    # As a digest, since a title may be longer than a key.
    return _TITLES + hashlib.sha256(f"{account}/{title}".encode()).hexdigest()


# Those that are gone, whose keys are still to be removed.


def gone(id: str, now: float) -> Set:
    """Remembers that a namespace was deleted, and when."""
    return Set(namespace=_REGISTRY, key=_GONE + id, value=msgspec.json.encode(now))


def all_gone(cursor: str | None) -> List:
    """Asks for a page of those that were deleted."""
    return List(_REGISTRY, _GONE, _PAGE, cursor)


def gone_id(key: str) -> str:
    """Which namespace it is that was deleted."""
    return key.removeprefix(_GONE)


def gone_since(entry: Entry | None) -> float:
    """When it was deleted."""
    return 0.0 if entry is None else msgspec.json.decode(entry.value, type=float)


def forgotten(key: str) -> Delete:
    """Forgets that a namespace was deleted."""
    return Delete(_REGISTRY, key)
