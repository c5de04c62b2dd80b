"""Answer the repetition of a request with its first answer, which is kept with the write.

The answer is an entry in the reserved namespace, written in the same step as the changes of the
request. A repetition finds it there and changes nothing, whichever server takes it.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ....entry import RESERVED_NAMESPACE
from ....errors import (
    Conflict,
    Detail,
    IdempotencyKeyReused,
    InputError,
    StorageUnavailable,
    ValueTooLarge,
)
from ....http.answer import Answer
from ....http.exchange import Exchange
from ....http.trail import storage_for
from ....operations import Batch, Get, Operation, Record, Result
from ....options import LimitsOptions
from ....storage import Capability, Storage
from ....storage.tasks import in_task

FIELD: Final = b"idempotency-key"

REQUEST_FIELD: Final = b"idempotency-request"
"""What identifies the request, in place of its content: a server in front of this one sends it."""

KEPT_SECONDS: Final = 600.0
"""How long the first answer to a request is kept."""

_NEEDED: Final = (
    Capability.NAMESPACES,
    Capability.PRECONDITIONS,
    Capability.ATOMIC_BATCHES,
    Capability.RESERVED,
)
_KEY: Final = re.compile(rb"[\x20-\x7e]{1,64}")
_TRIES: Final = 3
_DEPENDS_ON: Final = (b"accept", b"content-type", b"if-match", b"if-none-match", b"prefer")
"""The header fields on which an answer depends."""


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    """An answer, and the digest of the request that it belongs to."""

    request: bytes
    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes


_DECODER: Final = msgspec.msgpack.Decoder(_Kept)


def can_repeat(storage: Storage) -> bool:
    """Return whether a storage can keep the first answer to a request."""
    lacks = storage.lacks.keys() & {*_NEEDED}
    return not lacks or (storage.keeps_answers and lacks == {Capability.RESERVED})


class Once:
    """Does the operations of a request that has an idempotency key."""

    def __init__(
        self,
        exchange: Exchange,
        storage: Storage,
        limits: LimitsOptions,
        namespace: str,
        body: bytes | bytearray = b"",
    ) -> None:
        """Raise `InputError` for a wrong key, and `StorageUnsupported` if the storage cannot."""
        key = _text_in(exchange, FIELD)
        if not can_repeat(storage):
            lack = next(capability for capability in _NEEDED if capability in storage.lacks)
            raise storage.unsupported(lack)
        user = exchange.user
        self._storage = storage
        self._permitted = storage_for(exchange, storage)
        self._limits = limits
        self._name = _digest(user.strategy.encode(), user.id.encode(), key).hex()
        if REQUEST_FIELD in exchange.fields:
            self._request = _digest(b"", _text_in(exchange, REQUEST_FIELD))
            return
        sent = [exchange.fields.get(name, b"") for name in _DEPENDS_ON]
        self._request = _digest(
            exchange.method.encode(),
            exchange.path.encode("utf-8", "surrogateescape"),
            exchange.query,
            namespace.encode(),
            *sent,
            body,
        )

    async def answer(
        self,
        operations: Sequence[Operation],
        make_answer: Callable[[Sequence[Result]], Answer],
        *,
        is_atomic: bool = False,
    ) -> Answer:
        """Do the operations and return their answer, or return the answer of the first time."""
        key = self._storage.key_beside(operations[0].key if operations else "", self._name)
        found = Get(RESERVED_NAMESPACE, key)
        answers: list[Answer] = []

        def kept(results: Sequence[Result]) -> bytes:
            answer = make_answer(results)
            answers[:] = [answer]
            body = b"".join(answer.parts)
            if len(body) > self._limits.value_bytes:
                raise ValueTooLarge(
                    f"The answer has {len(body):,} bytes; with an Idempotency-Key, "
                    f"at most {self._limits.value_bytes:,} are allowed"
                )
            fields = [(name, value) for name, value in answer.fields]
            return msgspec.msgpack.encode(_Kept(self._request, answer.status, fields, body))

        record = Record(
            namespace=RESERVED_NAMESPACE,
            key=key,
            expires_at=round(self._storage.clock() + KEPT_SECONDS, 3),
            request=self._request.hex(),
            make=kept,
        )
        batch = Batch(
            operations, atomic=is_atomic, read_bytes=self._limits.batch_bytes, record=record
        )
        for _ in range(_TRIES):
            try:
                await in_task(self._permitted.batch(batch))
            except Conflict as error:
                if error.failed != (len(operations),):
                    raise
            else:
                return answers[0]
            entry = await in_task(self._storage.get(found))
            if entry is not None:  # else it has expired meanwhile
                first = _DECODER.decode(entry.value)
                if first.request != self._request:
                    raise IdempotencyKeyReused
                return Answer(first.status, first.fields, (first.body,))
        raise StorageUnavailable("The first answer to this request is not to be found")


def _text_in(exchange: Exchange, name: bytes) -> bytes:
    text = exchange.fields[name]
    if not _KEY.fullmatch(text):
        expected = "Expected 1 to 64 printable ASCII characters"
        raise InputError("Invalid header", details=[Detail("header", (name.decode(),), expected)])
    return text


def _digest(*parts: bytes | bytearray) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()
