"""Make the updates that requests ask for. Each decides the new entry from the present one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from ....entry import Entry, check_value_size
from ....errors import InputError, NotAcceptable, NotFound, PatchConflict, ValueTooLarge
from ....nesting import is_deeper, too_deep
from ....operations import Decision, Delete, Precondition, Set, Update
from ....options import LimitsOptions
from ....patches.increment import Increment
from ....patches.json_patch import patched
from ....patches.merge_patch import merged


class Target(msgspec.Struct, frozen=True):
    """The entry that a request is about, and the precondition of the request."""

    namespace: str
    key: str
    precondition: Precondition | None

    def update(
        self,
        decide: Callable[[Entry | None], Decision],
        *,
        reads: bool = True,
        shown_bytes: int = 0,
        patch_bytes: int = 0,
    ) -> Update:
        """Return an update of the entry."""
        return Update(
            namespace=self.namespace,
            key=self.key,
            decide=decide,
            precondition=self.precondition,
            reads=reads,
            shown_bytes=shown_bytes,
            patch_bytes=patch_bytes,
        )

    def replaced(self, entry: Entry | None, value: bytes, *, expires_at: float | None) -> Set:
        """Return the write of another value, beside the metadata that the entry has."""
        metadata = None if entry is None else entry.metadata
        return Set(
            namespace=self.namespace,
            key=self.key,
            value=value,
            metadata=metadata,
            expires_at=expires_at,
        )


def merge(target: Target, patch: bytes, limits: LimitsOptions) -> Update:
    """Return the update by a merge patch."""
    return _patch(target, lambda text: merged(text, patch), len(patch), limits)


def json_patch(
    target: Target, operations: Sequence[Mapping[str, Any]], patch_bytes: int, limits: LimitsOptions
) -> Update:
    """Return the update by the operations of a JSON Patch, whose text has `patch_bytes`."""
    most = limits.patch_bytes
    change = partial(patched, operations=operations, copied_bytes=most)
    return _patch(target, change, patch_bytes, limits)


def _patch(
    target: Target, change: Callable[[bytes], bytes], patch_bytes: int, limits: LimitsOptions
) -> Update:
    def decide(entry: Entry | None) -> Decision:
        if entry is None:
            raise NotFound
        if not entry.is_json:
            raise PatchConflict("The value is not JSON; only JSON can be patched")
        if len(entry.value) > limits.patch_bytes:
            raise ValueTooLarge(
                f"The value has {len(entry.value):,} bytes; "
                f"at most {limits.patch_bytes:,} can be patched"
            )
        value = change(entry.value)
        check_value_size(len(value), limits.value_bytes)
        if is_deeper(value, limits.json_depth):
            raise InputError(too_deep(limits.json_depth))
        return target.replaced(entry, value, expires_at=entry.expires_at)

    # The value, what the patch adds, and what it copies.
    return target.update(decide, shown_bytes=3 * limits.patch_bytes, patch_bytes=patch_bytes)


def increment(target: Target, by: Increment, expires_at: float | None) -> Update:
    """Return the update that counts. `expires_at` is for a key that it creates."""

    def decide(entry: Entry | None) -> Decision:
        if entry is None:
            return target.replaced(None, by.of(None), expires_at=expires_at)
        text = entry.value if entry.is_json else b""
        return target.replaced(entry, by.of(text), expires_at=entry.expires_at)

    return target.update(decide)


def describe(
    target: Target, metadata: bytes | None, lifetime: Callable[[float | None], float | None]
) -> Update:
    """Return the update of the metadata, with a function from the old expiry to the new one."""

    def decide(entry: Entry | None) -> Decision:
        if entry is None:
            raise NotFound
        return Set(
            namespace=target.namespace,
            key=target.key,
            value=entry.value,
            is_json=entry.is_json,
            metadata=metadata,
            expires_at=lifetime(entry.expires_at),
        )

    return target.update(decide, reads=False)


def take(target: Target, limits: LimitsOptions, *, as_bytes: bool) -> Update:
    """Return the update that removes the entry and shows it; `as_bytes` also if it is not JSON."""

    def decide(entry: Entry | None) -> Decision:
        if entry is None:
            raise NotFound
        if not (entry.is_json or as_bytes):
            raise NotAcceptable(
                "The value is not JSON and stays; send Accept: application/octet-stream to take "
                "its bytes"
            )
        return Delete(target.namespace, target.key)

    return target.update(decide, shown_bytes=limits.value_bytes)
