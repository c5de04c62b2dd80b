"""Reading many values at once, as both of Cloudflare's doors do."""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from ...entry import Entry, whole_seconds
from ...operations import Batch, Get
from ...storage import Storage
from .errors import invalid
from .rules import BULK_KEYS, Rules


async def bulk_get(
    storage: Storage,
    namespace: str,
    keys: Sequence[str],
    rules: Rules,
    *,
    kind: str = "text",
    with_metadata: bool = False,
    with_expiration: bool = False,
    lossy: bool = False,
) -> dict[str, Any]:
    """The values by their keys, `None` where there is none.

    With metadata, each is an object. All values together may have no more bytes than one may. A
    value that is not text is an error, unless it may lose what is not.
    """
    if kind not in ("text", "json"):
        raise invalid(10029, f"Invalid type of {kind[:20]}. Expected text or json.")
    if not 1 <= len(keys) <= BULK_KEYS:
        raise invalid(10029, f"Expected 1 to {BULK_KEYS} keys, got {len(keys)}.")
    for key in keys:
        rules.check_key(key)
    gets = [Get(namespace, key) for key in dict.fromkeys(keys)]
    entries = await storage.batch(Batch(gets, read_bytes=rules.value_bytes))
    read: dict[str, Any] = {}
    for get, entry in zip(gets, entries, strict=True):
        if isinstance(entry, Exception):
            raise entry
        if not isinstance(entry, Entry):
            read[get.key] = None
            continue
        value = _shown(entry, kind, lossy=lossy)
        if not with_metadata:
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
