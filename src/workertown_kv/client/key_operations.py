"""Define what clients and batches can do with one key: arguments in, operation and result out.

Each method is written once. `AsyncClient`, `Client` and `Batch` have it in their own manner, with
the same arguments and the same result.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from .. import entry as stored
from .. import updates
from ..errors import InputError, KeyNotFound, KvError, NamespaceNotFound, NotFound
from ..operations import Delete, Get, Operation, Result, Set, Touch, Updated
from ..options import LimitsOptions
from ..patches.increment import Amount, Increment
from ..patches.number import exact
from ..storage import Clock
from ..updates import Target
from .arguments import check_key, lifetime, plainly, precondition
from .encoding import encode_json, encode_metadata, encode_value
from .entry import Entry, entry_of, value_of

T = TypeVar("T")


class Prepared(msgspec.Struct, Generic[T], frozen=True):
    """An operation, and how its result becomes what the caller gets."""

    operation: Operation
    returns: Callable[[Result], T]
    missing: Callable[[], T] | None = None
    """Returns what the caller gets if the operation finds no entry that it needs."""

    def outcome(self, result: Result) -> T:
        """Return what the caller gets, or raise the error of the operation."""
        if isinstance(result, NotFound) and not isinstance(result, NamespaceNotFound):
            if self.missing is not None:
                return self.missing()
            raise KeyNotFound(self.operation.key) from result
        if isinstance(result, KvError):
            raise result
        return self.returns(result)


class KeyOperations:
    """The operations on the keys of a namespace."""

    def __init__(self, namespace: str, limits: LimitsOptions, clock: Clock) -> None:
        self.namespace = namespace
        self._limits = limits
        self._clock = clock

    def get(self, key: str, default: Any = None) -> Prepared[Any]:
        """Return the value of a key, or `default` if there is none.

        JSON comes back as Python values, and bytes as bytes.
        """
        return Prepared(
            self._get(key),
            lambda result: value_of(result) if isinstance(result, stored.Entry) else default,
        )

    def entry(self, key: str) -> Prepared[Entry | None]:
        """Return the value of a key with its version, metadata and expiry; `None` if there is none.

        Pass `entry.version` as `if_version` to write only if nobody has written in between.
        """
        return Prepared(
            self._get(key),
            lambda result: entry_of(result) if isinstance(result, stored.Entry) else None,
        )

    def exists(self, key: str) -> Prepared[bool]:
        """Return whether a key has a value."""
        return Prepared(self._get(key), lambda result: result is not None)

    def set(
        self,
        key: str,
        value: Any,
        *,
        ttl: int | None = None,
        expires_at: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        if_version: str | None = None,
        create: bool = False,
    ) -> Prepared[str]:
        """Write a value, and return its version. It replaces all that the key had before.

        `value` is anything that JSON has, or bytes. It expires after `ttl` seconds or at
        `expires_at` (Unix seconds); without both, it stays. `metadata` is an object of at most
        1 KiB, which listings return too. With `if_version`, the key must still have that version;
        with `create`, it must have no value. Else this raises `PreconditionFailed` and changes
        nothing.
        """
        check_key(key, self._limits.key_bytes)
        text, is_json = encode_value(value, self._limits)
        operation = Set(
            namespace=self.namespace,
            key=key,
            value=text,
            is_json=is_json,
            metadata=encode_metadata(metadata, self._limits),
            expires_at=lifetime(ttl, expires_at, self._clock()),
            precondition=precondition(if_version, create=create),
        )
        return Prepared(operation, _version)

    def delete(self, key: str, *, if_version: str | None = None) -> Prepared[None]:
        """Delete a key. If it has no value, this does nothing.

        With `if_version`, the key must still have that version; else this raises
        `PreconditionFailed` and changes nothing.
        """
        check_key(key, self._limits.key_bytes)
        condition = precondition(if_version)
        return Prepared(Delete(self.namespace, key, condition), lambda _: None)

    def touch(
        self,
        key: str,
        *,
        ttl: int | None = None,
        expires_at: float | UnsetType | None = UNSET,
        if_version: str | None = None,
    ) -> Prepared[bool]:
        """Change only the lifetime of a value, and return whether there is a value.

        `expires_at=None` lets it stay until it is deleted. The version remains the same.
        """
        check_key(key, self._limits.key_bytes)
        if ttl is None and expires_at is UNSET:
            raise InputError("Expected ttl or expires_at; expires_at=None removes the lifetime")
        at = None if expires_at is UNSET else expires_at
        operation = Touch(
            namespace=self.namespace,
            key=key,
            expires_at=lifetime(ttl, at, self._clock()),
            precondition=precondition(if_version),
        )
        return Prepared(operation, lambda result: result is not None, lambda: False)

    def increment(
        self,
        key: str,
        by: float | Decimal = 1,
        *,
        initial: float | Decimal = 0,
        min: float | Decimal | None = None,
        max: float | Decimal | None = None,
        ttl: int | None = None,
        expires_at: float | None = None,
        if_version: str | None = None,
    ) -> Prepared[Any]:
        """Add to a number in one step, and return the new number.

        A key without a value gets `initial` plus `by`, and only then `ttl` and `expires_at` apply.
        Raises `PatchConflict`, and changes nothing, if the value is no number or the new number
        would be below `min`, above `max`, or no longer exact.
        """
        counting = Increment(
            by=_amount(by, "by"),
            initial=_amount(initial, "initial"),
            least=None if min is None else _amount(min, "min"),
            most=None if max is None else _amount(max, "max"),
        )
        if counting.has_no_room:
            raise InputError(f"max is {max!r}; expected at least as much as min, which is {min!r}")
        at = lifetime(ttl, expires_at, self._clock())
        target = self._target(key, if_version)
        return Prepared(updates.increment(target, counting, at), _new_value)

    def patch(
        self,
        key: str,
        merge: Any = UNSET,
        *,
        json_patch: Sequence[Mapping[str, Any]] | UnsetType = UNSET,
        if_version: str | None = None,
    ) -> Prepared[Any]:
        """Change a part of a JSON value in one step, and return the new value.

        `merge` is a merge patch (RFC 7396): its members replace those of the value, and `None`
        removes a member. `json_patch` is a list of operations (RFC 6902) instead. Raises
        `KeyNotFound` if the key has no value, and `PatchConflict` if the value does not allow the
        patch.
        """
        target = self._target(key, if_version)
        if (merge is UNSET) is (json_patch is UNSET):
            raise InputError("Expected merge or json_patch, and not both")
        if merge is not UNSET:
            text = encode_json(merge, self._limits, "merge")
            return Prepared(updates.merge(target, text, self._limits), _new_value)
        text = encode_json(json_patch, self._limits, "json_patch")
        from ..endpoints.v1.kv.patch_bodies import steps_in  # noqa: PLC0415  (few programs need it)

        with plainly():
            steps = steps_in(text, ())
        return Prepared(updates.json_patch(target, steps, len(text), self._limits), _new_value)

    def take(
        self, key: str, default: Any = None, *, if_version: str | None = None
    ) -> Prepared[Any]:
        """Remove a value and return it, or return `default` if there is none.

        If several clients take a value, only one of them gets it.
        """
        target = self._target(key, if_version)
        return Prepared(
            updates.take(target, self._limits, as_bytes=True), _removed_value, lambda: default
        )

    def _get(self, key: str) -> Get:
        check_key(key, self._limits.key_bytes)
        return Get(self.namespace, key)

    def _target(self, key: str, if_version: str | None) -> Target:
        check_key(key, self._limits.key_bytes)
        return Target(self.namespace, key, precondition(if_version))


def _version(result: Result) -> str:
    assert isinstance(result, str)
    return result


def _new_value(result: Result) -> Any:
    assert isinstance(result, Updated)
    assert result.after is not None
    return value_of(result.after)


def _removed_value(result: Result) -> Any:
    assert isinstance(result, Updated)
    assert result.before is not None
    return value_of(result.before)


def _amount(number: object, name: str) -> Amount:
    is_number = isinstance(number, int | float | Decimal) and not isinstance(number, bool)
    amount = exact(str(number).encode()) if is_number else None
    if amount is None:
        raise InputError(f"{name} is {number!r:.100}; expected a number")
    return amount
