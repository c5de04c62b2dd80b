"""Write and delete entries, many in one request where Cloudflare permits it."""

from base64 import b64encode
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import msgspec

from ...errors import KvError, StorageFailure, StorageUnavailable
from ..cloudflare_api.answers import Envelope, decoded
from ..cloudflare_api.failures import Refused
from ..cloudflare_api.rest import Rest
from .failures import NoSuchKey

MOST_PAIRS: Final = 10_000
"""The most pairs of a request."""

BULK_BYTES: Final = 16 * 1024 * 1024
"""About how many bytes the body of a request may have. Cloudflare takes 100 MB."""

_JSON: Final = {"Content-Type": "application/json"}


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A value to write, and what Workers KV keeps beside it."""

    name: str
    value: bytes
    metadata: str
    ttl: int | None


class _BulkPair(msgspec.Struct, frozen=True, omit_defaults=True):
    key: str
    value: str
    metadata: msgspec.Raw
    expiration_ttl: int | None = None
    base64: bool = False


class _Outcome(msgspec.Struct, frozen=True):
    unsuccessful_keys: Sequence[str] | None = None


class _Done(Envelope, frozen=True, kw_only=True):
    result: _Outcome | None = None


_DONE: Final = msgspec.json.Decoder(_Done)


async def put_all(rest: Rest, pairs: Sequence[Pair]) -> dict[str, KvError]:
    """Write values, whose names differ. Returns the errors of those that were not written."""
    failed: dict[str, KvError] = {}
    if len(pairs) == 1:
        failed |= await _each(_put(rest, pairs[0]), [pairs[0].name])
    else:
        for group in _groups(pairs):
            failed |= await _put_group(rest, group)
    return failed


async def delete_all(rest: Rest, names: Sequence[str]) -> dict[str, KvError]:
    """Delete values. Returns the errors of those that were not deleted."""
    failed: dict[str, KvError] = {}
    if len(names) == 1:
        return await _each(_delete(rest, names[0]), names)
    for some in (names[at : at + MOST_PAIRS] for at in range(0, len(names), MOST_PAIRS)):
        failed |= await _each(_send(rest, "POST", "/bulk/delete", json=some), some)
    return failed


async def _put(rest: Rest, pair: Pair) -> Sequence[str]:
    ttl = {} if pair.ttl is None else {"expiration_ttl": str(pair.ttl)}
    form = {
        "value": ("value", pair.value, "application/octet-stream"),
        "metadata": (None, pair.metadata.encode(), "application/json"),
    }
    path = f"/values/{quote(pair.name, safe='')}"
    return await _send(rest, "PUT", path, params=ttl, files=form)


async def _delete(rest: Rest, name: str) -> Sequence[str]:
    with suppress(NoSuchKey):
        await _send(rest, "DELETE", f"/values/{quote(name, safe='')}")
    return ()


async def _send(rest: Rest, method: str, path: str, **given: Any) -> Sequence[str]:
    """Send a write. Returns the names that were not written."""
    response = await rest.send(method, path, writes=True, **given)
    outcome = decoded(response, _DONE, writes=True).result
    return (outcome and outcome.unsuccessful_keys) or ()


async def _put_group(rest: Rest, group: Mapping[str, bytes]) -> dict[str, KvError]:
    names = [*group]
    body = b"[%b]" % b",".join(group.values())
    failed = await _each(_send(rest, "PUT", "/bulk", content=body, headers=_JSON), names)
    middle = len(names) // 2
    if middle and any(isinstance(error, Refused) for error in failed.values()):
        # Cloudflare refuses all pairs if it refuses one of them.
        failed = {}
        for half in (names[:middle], names[middle:]):
            failed |= await _put_group(rest, {name: group[name] for name in half})
    return failed


async def _each(act: Awaitable[Sequence[str]], names: Sequence[str]) -> dict[str, KvError]:
    """Do a write of values. Returns the errors of those that were not written."""
    try:
        return {name: _not_done() for name in await act}
    except KvError as error:
        return dict.fromkeys(names, error)


def _not_done() -> KvError:
    return StorageUnavailable(
        "Workers KV did not write this key everywhere, so that reads may find either state; it "
        "takes one write of a key in a second",
        StorageFailure.BUSY,
    )


def _groups(pairs: Sequence[Pair]) -> Iterator[dict[str, bytes]]:
    """Group pairs, encoded by their names, so that a request has not too many bytes."""
    group: dict[str, bytes] = {}
    size = 0
    for pair in pairs:
        encoded = _encoded(pair)
        if group and (size + len(encoded) > BULK_BYTES or len(group) == MOST_PAIRS):
            yield group
            group, size = {}, 0
        group[pair.name] = encoded
        size += len(encoded)
    if group:
        yield group


def _encoded(pair: Pair) -> bytes:
    try:
        value, is_base64 = pair.value.decode(), False
    except UnicodeDecodeError:
        value, is_base64 = b64encode(pair.value).decode(), True
    metadata = msgspec.Raw(pair.metadata.encode())
    return msgspec.json.encode(
        _BulkPair(
            key=pair.name,
            value=value,
            metadata=metadata,
            expiration_ttl=pair.ttl,
            base64=is_base64,
        )
    )
