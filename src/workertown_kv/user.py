"""Describe the user who makes a request, and what that user may do.

A user may do everything, or only what at least one of their scopes permits: a scope permits some
verbs on the keys with some prefixes in some namespaces. Nothing here knows how a user is
authenticated, or how a storage keeps entries.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self

import msgspec

from .entry import DEFAULT_ID, DEFAULT_NAMESPACE, is_id, is_unicode
from .errors import Forbidden
from .operations import Batch, Change, Event, Get, List, Operation, Update

Verb = Literal["read", "write", "list", "admin"]
"""What a scope permits: getting values, setting and deleting them, listing keys, administering."""

VERBS: Final[tuple[Verb, ...]] = ("read", "write", "list", "admin")

SCOPE_ITEMS: Final = 100
"""The most scopes of a user, and the most prefixes in all of these scopes together."""


_ALL_KEYS: Final = ("",)
_FINGERPRINT_DIGITS: Final = 32


class Scope(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Permits some verbs on some keys in some namespaces."""

    verbs: tuple[Verb, ...]
    """The permitted verbs: `read`, `write`, `list`, `admin`."""
    prefixes: tuple[str, ...] = _ALL_KEYS
    """The prefixes of the keys; without this, all keys."""
    namespaces: tuple[str, ...] | None = None
    """The ids of the namespaces, or `default`; without this, all namespaces."""

    def __post_init__(self) -> None:
        # Python code can pass anything here, and a text would be taken as a tuple of letters.
        for name in ("verbs", "prefixes", "namespaces"):
            texts = getattr(self, name)
            if texts is None and name == "namespaces":
                continue
            if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{name} is {type(texts).__name__}; expected a tuple of texts")
            if not texts:
                raise ValueError(f"{name} is empty, which permits nothing; expected at least one")
        if not set(self.verbs) <= set(VERBS):
            raise ValueError(f"verbs is {self.verbs!r}; expected some of {', '.join(VERBS)}")
        for prefix in self.prefixes:
            _check_prefix(prefix)
        if self.prefixes == _ALL_KEYS:
            # Only the default itself is left out of JSON.
            msgspec.structs.force_setattr(self, "prefixes", _ALL_KEYS)
        for namespace in self.namespaces or ():
            _check_namespace(namespace)
        if self.namespaces is not None and DEFAULT_ID in self.namespaces:
            names = {DEFAULT_NAMESPACE, *self.namespaces} - {DEFAULT_ID}
            msgspec.structs.force_setattr(self, "namespaces", tuple(sorted(names)))
        if "admin" in self.verbs and (self.prefixes != ("",) or self.namespaces is not None):
            raise ValueError(
                "verbs has admin, which prefixes and namespaces cannot narrow; "
                "expected a scope of its own for it"
            )

    def covers(self, verb: Verb, namespace: str) -> bool:
        """Return whether the verb is permitted in the namespace, at least on some keys."""
        return verb in self.verbs and (self.namespaces is None or namespace in self.namespaces)


def _check_prefix(prefix: str) -> None:
    if not is_unicode(prefix):
        raise ValueError(f"prefixes has {prefix[:100]!r}, which is not UTF-8")
    if prefix.endswith("*"):
        meant = prefix.rstrip("*")
        expected = f"{meant[:100]!r}, which is all keys that begin with it" if meant else "none"
        raise ValueError(f"prefixes has {prefix[:100]!r}; expected {expected}")


def _check_namespace(namespace: str) -> None:
    # A title would permit nothing, or the next namespace that gets this title.
    if namespace != DEFAULT_NAMESPACE and not is_id(namespace):
        raise ValueError(
            f"namespaces has {namespace[:100]!r}; expected default, or an id of 32 hexadecimal "
            "digits as `workertown-kv namespace list` prints it"
        )


def check_scopes(scopes: object) -> None:
    """Raise `ValueError` for anything but a tuple of scopes, or for too many scopes."""
    if not isinstance(scopes, tuple) or not all(isinstance(scope, Scope) for scope in scopes):
        raise ValueError(f"scopes is {type(scopes).__name__}; expected a tuple of scopes")
    if max(len(scopes), sum(len(scope.prefixes) for scope in scopes)) > SCOPE_ITEMS:
        raise ValueError(f"scopes has more than {SCOPE_ITEMS} scopes, or prefixes in them")


class Fingerprint(msgspec.Struct, frozen=True):
    """Distinguishes a credential from earlier and later ones of the same name."""

    sha256: str

    @classmethod
    def of(cls, secret: bytes) -> Self:
        """Return the fingerprint of a secret, or of its hash."""
        return cls(hashlib.sha256(secret).hexdigest()[:_FINGERPRINT_DIGITS])

    def __repr__(self) -> str:
        return "Fingerprint()"  # in a log, that of a password would help to guess the password


class User(msgspec.Struct, frozen=True, kw_only=True):
    """The user who makes a request."""

    id: str
    strategy: str
    """What authenticated the user: `api_key`, `basic`, `jwt`, `stored_api_key`, or a name that a
    hook gives."""
    claims: Mapping[str, Any] | None = None
    """The claims of a JWT."""
    scopes: tuple[Scope, ...] | None = None
    """What the user may do; `None`: everything."""
    expires_at: int | None = None
    """When the API key or the password of the user expires, in Unix seconds."""
    credential: Fingerprint | None = None
    """Which API key or password it was; `None` for a token, and for a user that a hook makes."""

    def __post_init__(self) -> None:
        if self.scopes is not None:
            check_scopes(self.scopes)

    def expiry(self) -> int | None:
        """Return when the credential of the user expires, if known; a token says so itself."""
        if self.expires_at is not None:
            return self.expires_at
        claimed = (self.claims or {}).get("exp")
        return int(claimed) if isinstance(claimed, int | float) else None

    def may(self, verb: Verb, namespace: str, key: str = "") -> bool:
        """Return whether the user may do this to the key."""
        return self.scopes is None or any(
            scope.covers(verb, namespace) and key.startswith(scope.prefixes)
            for scope in self.scopes
        )

    def may_see(self, change: Change) -> bool:
        """Return whether a change is of a key, or of some keys, that the user may read."""
        if change.event is Event.DELETE_PREFIX:
            return any(self._overlapping("read", change.namespace, change.key))
        return self.may("read", change.namespace, change.key)

    def readable_prefixes(self, namespace: str, prefixes: Sequence[str]) -> list[str]:
        """Return the prefixes of the keys that the user may read, of those with these prefixes.

        Raises `Forbidden` if the user may read none of them.
        """
        found = [
            part for prefix in prefixes for part in self._overlapping("read", namespace, prefix)
        ]
        if not found:
            raise Forbidden(
                "Out of scope: this needs the verb read on keys that begin with "
                f"{prefixes[0][:100]!r} in the namespace {namespace!r}"
            )
        return found

    def check_reads_everything(self) -> None:
        """Raise `Forbidden` unless the user may read all keys in all namespaces."""
        self.check_everywhere("read")

    def check_everywhere(self, verb: Verb) -> None:
        """Raise `Forbidden` unless the user may do this to all keys in all namespaces."""
        if self.scopes is not None and not any(
            verb in scope.verbs and scope.namespaces is None and "" in scope.prefixes
            for scope in self.scopes
        ):
            raise Forbidden(
                f"Out of scope: this needs the verb {verb} on all keys in all namespaces"
            )

    def may_use(self, namespace: str) -> bool:
        """Return whether the user may do anything in the namespace."""
        return self.scopes is None or any(
            scope.namespaces is None or namespace in scope.namespaces for scope in self.scopes
        )

    def reaches_all_namespaces(self) -> bool:
        """Return whether a scope is not limited to some namespaces."""
        return self.scopes is None or any(scope.namespaces is None for scope in self.scopes)

    def check(self, operation: Operation | Batch) -> None:
        """Raise `Forbidden` with the missing scopes if the user may not do this."""
        if isinstance(operation, Batch):
            missing = {
                index: _scope_for(verb, item.namespace, item.key)
                for index, item in enumerate(operation.operations)
                for verb in _verbs(item)
                if not self.may(verb, item.namespace, item.key)
            }
            if missing:
                raise Forbidden("This batch has operations that are out of scope", missing)
        else:
            for verb in _verbs(operation):
                self.check_key(verb, operation.namespace, operation.key)

    def check_key(self, verb: Verb, namespace: str, key: str) -> None:
        """Raise `Forbidden` if the user may not do this to the key."""
        if not self.may(verb, namespace, key):
            raise Forbidden(f"Out of scope: this needs {_scope_for(verb, namespace, key)}")

    def check_prefix(self, verb: Verb, namespace: str, prefix: str) -> None:
        """Raise `Forbidden` if the user may not do this to all keys with a prefix."""
        if not self.may(verb, namespace, prefix):
            keys = f"all keys that begin with {prefix[:100]!r}" if prefix else "all keys"
            raise Forbidden(
                f"Out of scope: this needs the verb {verb} on {keys} in the namespace {namespace!r}"
            )

    def check_somewhere(self, namespace: str, *verbs: Verb) -> None:
        """Raise `Forbidden` if the user may use none of the verbs on any key in the namespace.

        This saves reading a large body of a request that will be refused anyway.
        """
        if self.scopes is not None and not any(
            scope.covers(verb, namespace) for scope in self.scopes for verb in verbs
        ):
            raise Forbidden(
                f"Out of scope: this needs the verb {' or '.join(verbs)} "
                f"in the namespace {namespace!r}"
            )

    def check_admin(self) -> None:
        """Raise `Forbidden` if the user may not administer."""
        if self.scopes is not None and not any("admin" in scope.verbs for scope in self.scopes):
            raise Forbidden("Out of scope: this needs the verb admin")

    def listed_prefixes(self, operation: List) -> Sequence[str]:
        """Return the prefixes that a listing may show, without overlaps, in the order of keys.

        A listing shows only keys that the user may both list and read. Raises `Forbidden` if
        there can be no such key in the listing. Costs O(n²) for n prefixes.
        """
        granted: dict[Verb, list[str]] = {"list": [], "read": []}
        for verb, found in granted.items():
            found.extend(self._overlapping(verb, operation.namespace, operation.prefix))
            if not found:
                raise Forbidden(
                    f"Out of scope: this needs the verb {verb} on keys that begin with "
                    f"{operation.prefix[:100]!r} in the namespace {operation.namespace!r}"
                )
        both = (
            _intersection(listed, read) for listed in granted["list"] for read in granted["read"]
        )
        shown = {prefix for prefix in both if prefix is not None}
        if not shown:
            raise Forbidden("Out of scope: no key may be both listed and read here")
        # Code points sort as their UTF-8 bytes do.
        apart: list[str] = []
        for prefix in sorted(shown):
            if not apart or not prefix.startswith(apart[-1]):
                apart.append(prefix)
        return apart

    def _overlapping(self, verb: Verb, namespace: str, wanted: str) -> Iterator[str]:
        for scope in _EVERYTHING if self.scopes is None else self.scopes:
            if scope.covers(verb, namespace):
                for prefix in scope.prefixes:
                    longer = _intersection(prefix, wanted)
                    if longer is not None:
                        yield longer


_EVERYTHING: Final = (Scope(verbs=VERBS),)


def _intersection(first: str, second: str) -> str | None:
    """Return the prefix of the keys that have both of these prefixes, `None` for no such keys."""
    if first.startswith(second):
        return first
    return second if second.startswith(first) else None


def _verbs(operation: Operation) -> tuple[Verb, ...]:
    if isinstance(operation, Get):
        return ("read",)
    return ("read", "write") if isinstance(operation, Update) and operation.reads else ("write",)


def _scope_for(verb: Verb, namespace: str, key: str) -> str:
    return f"the verb {verb} on the key {key[:100]!r} in the namespace {namespace!r}"
