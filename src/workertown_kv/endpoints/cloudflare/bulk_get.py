"""Reading many values at once, for both of Cloudflare's APIs."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from ...entry import Entry, whole_seconds
from ...http.exchange import Exchange
from ...operations import Batch, Get
from ...storage import Storage
from .bodies import decoded
from .errors import invalid
from .limits import BULK_KEYS, Limits


class BulkGetBody(msgspec.Struct, frozen=True, rename="camel"):
    """Which values to get, and how."""

    keys: Annotated[
        list[str],
        Meta(
            description=f"1 to {BULK_KEYS} keys",
            extra_json_schema={"minItems": 1, "maxItems": BULK_KEYS},
        ),
    ]
    type: Annotated[
        str,
        Meta(
            description="Whether values are given as text, or as the JSON that they are",
            extra_json_schema={"enum": ["text", "json"]},
        ),
    ] = "text"
    with_metadata: Annotated[
        bool, Meta(description="Give an object with the value and its metadata for each key")
    ] = False
    cache_ttl: Annotated[str | None, Meta(description="Ignored; sent by workerd")] = None


_ASK: Final = msgspec.json.Decoder(BulkGetBody)


def decoded_ask(body: bytes | bytearray) -> BulkGetBody:
    """What a body asks for."""
    return decoded(body, _ASK)


async def bulk_get(
    storage: Storage,
    namespace: str,
    ask: BulkGetBody,
    limits: Limits,
    exchange: Exchange,
    *,
    with_expiration: bool = False,
    lossy: bool = False,
) -> dict[str, Any]:
    """The values by their keys, `None` where there is none.

    With metadata, each is an object. All values together may have no more bytes than one may. A
    value that is not text is an error, unless it may lose what is not.
    """
    if ask.type not in ("text", "json"):
        raise invalid(10029, f"Invalid type of {ask.type[:20]}. Expected text or json.")
    if not 1 <= len(ask.keys) <= BULK_KEYS:
        raise invalid(10029, f"Expected 1 to {BULK_KEYS} keys, got {len(ask.keys)}.")
    for key in ask.keys:
        limits.check_key(key)
    gets = [Get(namespace, key) for key in dict.fromkeys(ask.keys)]
    entries = await storage.batch(Batch(gets, read_bytes=limits.value_bytes))
    exchange.hold(sum(len(one.value) for one in entries if isinstance(one, Entry)))
    read: dict[str, Any] = {}
    for get, entry in zip(gets, entries, strict=True):
        if isinstance(entry, Exception):
            raise entry
        if not isinstance(entry, Entry):
            read[get.key] = None
            continue
        value = _shown(entry, ask.type, lossy=lossy)
        if not ask.with_metadata:
            read[get.key] = value
            continue
        metadata = None if entry.metadata is None else Raw(entry.metadata)
        read[get.key] = {"value": value, "metadata": metadata}
        if with_expiration and entry.expires_at is not None:
            read[get.key]["expiration"] = whole_seconds(entry.expires_at)
    return read


def _shown(entry: Entry, kind: str, *, lossy: bool) -> str | Raw:
    if kind == "json":
        if entry.is_json:
            return Raw(entry.value)
        raise invalid(10029, f"The value of {entry.key[:100]!r} is not JSON.")
    try:
        return entry.value.decode(errors="replace" if lossy else "strict")
    except UnicodeDecodeError as error:
        raise invalid(10029, f"The value of {entry.key[:100]!r} is not text.") from error
