"""Many values at once: put, delete, get."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ....errors import KvError, StorageError
from ....http.answer import Answer
from ....http.route import StorageFailed
from ....namespaces import Namespaces
from ....operations import Batch, Delete, Operation, Set
from ....storage import Storage, permitted
from ...schemas import Key
from ..bodies import SMALL_BYTES, decoded_items
from ..bulk_get import bulk_get, decoded_ask
from ..errors import CloudflareError, invalid, translate
from ..limits import BULK_PAIRS, Limits
from .call import Call
from .envelope import answer_with

_GROUP_BYTES: Final = 4 * 1024 * 1024
_GROUP_PAIRS: Final = 500
_KEYS_BYTES: Final = BULK_PAIRS * 6 * 1024


_Seconds = int | float | None


class BulkPair(msgspec.Struct, frozen=True, gc=False):
    """A value to write."""

    key: Key
    # It is made into bytes only when its turn comes, so that there is never much.
    value: Annotated[Raw, Meta(description="The value", extra_json_schema={"type": "string"})]
    expiration: Annotated[_Seconds, Meta(description="An expiry in Unix seconds")] = None
    expiration_ttl: Annotated[_Seconds, Meta(description="A lifetime in seconds; it wins")] = None
    metadata: Annotated[Raw, Meta(description="Any JSON")] | UnsetType = UNSET
    base64: Annotated[bool | None, Meta(description="Whether the value is in base64")] = None


class BulkResult(msgspec.Struct, frozen=True):
    """How many were done, and which were not."""

    successful_key_count: int
    unsuccessful_keys: list[str]


class BulkValues(msgspec.Struct, frozen=True):
    """The values by their keys."""

    values: Annotated[
        dict[str, Any],
        Meta(
            description="For each key, text or JSON, or `null` where there is no value; with "
            "`withMetadata`, an object: `value`, `metadata`, and `expiration` where there is one"
        ),
    ]


class _Checked(NamedTuple):
    """A pair that may be written, less its value."""

    pair: BulkPair
    is_json: bool
    metadata: bytes | None
    expires_at: float | None


_PAIRS: Final = msgspec.json.Decoder(list[BulkPair])
_PAIR: Final = msgspec.json.Decoder(BulkPair)
_KEYS: Final = msgspec.json.Decoder(list[str])
_TEXT: Final = msgspec.json.Decoder(str)


class BulkRoutes:
    """What can be done with many values. Each stands for itself: nothing here is atomic."""

    def __init__(
        self, storage: Storage, namespaces: Namespaces, limits: Limits, failed: StorageFailed
    ) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._limits = limits
        self._failed = failed

    async def put(self, call: Call) -> Answer:
        """Write many values, all of which are checked before the first is written."""
        namespace = (await call.found(self._namespaces)).name
        user = call.exchange.user
        user.check_somewhere(namespace, "write")
        body = await call.body(self._limits, self._limits.bulk_bytes, "a bulk put")
        pairs = await decoded_items(body, _PAIRS, _PAIR, BULK_PAIRS, self._limits.json_depth)
        now = self._storage.clock()
        checked: list[_Checked] = []
        async for index, pair in _in_turns(pairs):
            user.check_key("write", namespace, pair.key)
            checked.append(await self._checked(pair, index, now))
        return await self._do(call, (_set(namespace, one) for one in checked))

    async def delete(self, call: Call) -> Answer:
        """Remove many values."""
        namespace = (await call.found(self._namespaces)).name
        user = call.exchange.user
        user.check_somewhere(namespace, "write")
        most = min(_KEYS_BYTES, self._limits.bulk_bytes)
        body = await call.body(self._limits, most, "a bulk delete")
        keys = await decoded_items(body, _KEYS, _TEXT, BULK_PAIRS, self._limits.json_depth)
        for index, key in enumerate(keys):
            if index % _GROUP_PAIRS == _GROUP_PAIRS - 1:
                await asyncio.sleep(0)
            self._limits.check_key(key)
            user.check_key("write", namespace, key)
        return await self._do(call, (Delete(namespace, key) for key in keys))

    async def get(self, call: Call) -> Answer:
        """Read many values, as text or as JSON."""
        namespace = (await call.found(self._namespaces, fresh=False)).name
        call.exchange.user.check_somewhere(namespace, "read")
        ask = decoded_ask(await call.body(self._limits, SMALL_BYTES, "a bulk get"))
        storage = permitted(self._storage, call.exchange.user)
        read = await bulk_get(
            storage, namespace, ask, self._limits, call.exchange, with_expiration=True
        )
        return answer_with(BulkValues(read))

    async def _do(self, call: Call, operations: Iterator[Operation]) -> Answer:
        """Do them in groups, and tell which did not succeed."""
        storage = permitted(self._storage, call.exchange.user)
        done = 0
        failed: list[str] = []
        for group in _groups(operations):
            results = await storage.batch(Batch(group))
            for one, result in zip(group, results, strict=True):
                if isinstance(result, StorageError):
                    failed.append(one.key)
                    self._failed(result)
                elif isinstance(result, Exception):
                    raise result
                else:
                    done += 1
        return answer_with(BulkResult(done, failed))

    async def _checked(self, pair: BulkPair, index: int, now: float) -> _Checked:
        limits = self._limits
        try:
            limits.check_key(pair.key)
            value = _value(pair)
            limits.check_value(len(value))
            is_json = await limits.is_json(value)
            expires_at = None
            if pair.expiration_ttl is not None:
                ttl = _whole(pair.expiration_ttl, "expiration_ttl", 10034)
                expires_at = limits.expiring_after(ttl, now)
            elif pair.expiration is not None:
                at = _whole(pair.expiration, "expiration", 10033)
                expires_at = limits.expiring_at(at, now)
            metadata = None if pair.metadata is UNSET else limits.metadata(bytes(pair.metadata))
        except KvError as error:
            status, code, words = translate(error)
            raise CloudflareError(status, code, f"pair {index}: {words}") from error
        return _Checked(pair, is_json, metadata, expires_at)


def _set(namespace: str, checked: _Checked) -> Set:
    value = _value(checked.pair)
    return Set(
        namespace=namespace,
        key=checked.pair.key,
        value=value,
        is_json=checked.is_json,
        metadata=checked.metadata,
        expires_at=checked.expires_at,
    )


def _whole(number: float, name: str, code: int) -> int:
    # To the Python SDK all numbers are floats, those that it has read here too.
    if number != int(number):
        raise invalid(code, f"Invalid {name} of {number}. Please specify integer greater than 0.")
    return int(number)


def _value(pair: BulkPair) -> bytes:
    try:
        text = _TEXT.decode(pair.value)
    except msgspec.DecodeError as error:
        raise invalid(10012, f"the value of {pair.key[:100]!r} is not a string") from error
    if not pair.base64:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise invalid(10012, f"the value of {pair.key[:100]!r} is not base64: {error}") from error


async def _in_turns(pairs: Sequence[BulkPair]) -> AsyncIterator[tuple[int, BulkPair]]:
    """The pairs, with a pause for others after each few megabytes."""
    size = 0
    for index, pair in enumerate(pairs):
        size += memoryview(pair.value).nbytes + 1024
        if size > _GROUP_BYTES:
            size = 0
            await asyncio.sleep(0)
        yield index, pair


def _groups(operations: Iterator[Operation]) -> Iterator[list[Operation]]:
    group: list[Operation] = []
    size = 0
    for one in operations:
        group.append(one)
        size += len(one.value) if isinstance(one, Set) else 0
        if size >= _GROUP_BYTES or len(group) >= _GROUP_PAIRS:
            yield group
            group, size = [], 0
    if group:
        yield group
