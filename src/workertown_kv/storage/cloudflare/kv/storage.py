"""Keep entries in Workers KV, through its binding."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from ....entry import DEFAULT_NAMESPACE, Entry, KeyInfo
from ....errors import InputError, StorageError, StorageFailure, StorageUnavailable
from ....operations import Delete, Get, List, Operation, Page, Set
from ...contract import Capability, Clock, Migration, Storage
from ...version import new_version
from ...workers_kv import layout
from ...workers_kv.cursor import cursor_for, cursor_in
from .. import bridge

_STATUS: Final = re.compile(r"failed: (\d{3})")
_KINDS: Final = {
    "401": StorageFailure.REFUSED,
    "403": StorageFailure.REFUSED,
    "429": StorageFailure.BUSY,
}


class KVBindingStorage(Storage):
    """Keeps entries in the KV namespace of a binding.

    A read may be stale by a minute, and of two writes to the same key at once, one is lost. More
    than one write to a key per second is `StorageUnavailable`.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.PRECONDITIONS: "Workers KV writes without reading first.",
        Capability.ATOMIC_BATCHES: "Workers KV writes one key at a time.",
        Capability.CHANGES: "Workers KV keeps no order of writes.",
        Capability.SEEKING: "Workers KV lists keys forward, from the first key or its own cursors.",
        Capability.NAMESPACES: "The binding is one namespace of Workers KV.",
        Capability.TOUCH: "Workers KV changes a lifetime only together with the value.",
    }

    def __init__(self, binding: Any, *, clock: Clock = time.time) -> None:
        super().__init__(clock=clock)
        self._binding = bridge.unwrapped(binding)
        self._opened = False

    async def open(self) -> Sequence[Migration]:
        self._opened = True
        return ()

    async def close(self) -> None:
        self._opened = False

    async def get(self, operation: Get) -> Entry | None:
        name = self._name(operation)
        with _translated():
            as_bytes = bridge.made_object({"type": "arrayBuffer"})
            found = await self._binding.getWithMetadata(name, as_bytes)
            if bridge.is_null(found.value):
                return None
            value = bridge.bytes_of(found.value)
            metadata = _text(found.metadata)
        entry = layout.entry_of(operation.key, value, metadata)
        return entry if entry.is_alive(self.clock()) else None

    async def set(self, operation: Set) -> str:
        name = self._name(operation)
        layout.check_value(len(operation.value))
        version = new_version()
        text = layout.metadata_for(operation, version, bridge.survives)
        options = {"metadata": bridge.parsed(text)}
        ttl = layout.ttl_for(operation.expires_at, self.clock())
        if ttl is not None:
            options["expirationTtl"] = ttl
        with _translated():
            await self._binding.put(
                name, bridge.argument(operation.value), bridge.made_object(options)
            )
        return version

    async def delete(self, operation: Delete) -> None:
        name = self._name(operation)
        with _translated():
            await self._binding.delete(name)

    async def list(self, operation: List) -> Page:
        self._check(operation)
        if operation.needs_seeking:
            raise self.unsupported(Capability.SEEKING)
        prefix, limit = operation.prefix, operation.limit
        if len(prefix.encode()) > layout.NAME_BYTES:
            return Page([])
        cursor = cursor_in(operation)
        # In miniflare, a prefix with a NUL finds no key; how Cloudflare treats it is unknown.
        stem = prefix.partition("\0")[0]
        keys: list[KeyInfo] = []
        while True:
            parameters: dict[str, Any] = {"prefix": stem, "limit": limit - len(keys)}
            if cursor is not None:
                parameters["cursor"] = cursor
            try:
                with _translated():
                    page = await self._binding.list(bridge.made_object(parameters))
                    found = [
                        layout.key_info(item.name, _text(_member(item, "metadata")), _expiry(item))
                        for item in page.keys
                    ]
                    cursor = None if page.list_complete else page.cursor
            except _Refused as error:
                if operation.cursor is None:
                    raise
                raise InputError("Workers KV does not know this cursor") from error
            now = self.clock()
            keys += [info for info in found if info.key.startswith(prefix) and info.is_alive(now)]
            if cursor is None or len(keys) == limit:
                return Page(keys, None if cursor is None else cursor_for(prefix, cursor))

    def _name(self, operation: Operation) -> str:
        self._check(operation)
        if not isinstance(operation, Get) and operation.precondition is not None:
            raise self.unsupported(Capability.PRECONDITIONS)
        return layout.name_of(operation.key)

    def _check(self, operation: Operation | List) -> None:
        if not self._opened:
            raise StorageUnavailable("The storage is closed")
        if operation.namespace != DEFAULT_NAMESPACE:
            raise self.unsupported(Capability.NAMESPACES)


class _Refused(StorageError):
    """Workers KV refuses this, however often a request tries."""


@contextmanager
def _translated() -> Iterator[None]:
    """Translate errors of Workers KV to errors of a storage."""
    try:
        yield
    except bridge.JsError as error:
        message = str(error)
        found = _STATUS.search(message)
        status = "" if found is None else found[1]
        if status in ("400", "404", "413", "414"):
            raise _Refused(f"Workers KV refused: {message}") from error
        kind = _KINDS.get(status, StorageFailure.UNREACHABLE)
        raise StorageUnavailable(f"Workers KV does not answer: {message}", kind) from error


def _text(metadata: Any) -> str | None:
    return None if bridge.is_null(metadata) else bridge.stringified(metadata)


def _member(value: Any, name: str) -> Any:
    return getattr(value, name, None)


def _expiry(item: Any) -> float | None:
    expiration = bridge.plain(_member(item, "expiration"))
    return None if expiration is None else float(expiration)
