"""Turn queries for the keys of a namespace into operations, and pages into answers."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....entry import KeyInfo, whole_seconds
from ....http.answer import Answer
from ....operations import List, Page
from ..limits import Limits
from ..listing import decode_list, encode_cursor
from .envelope import answer_with


class CloudflareKey(Struct, omit_defaults=True, gc=False):
    """A key as Cloudflare lists it."""

    name: Annotated[str, Meta(description="The key")]
    expiration: Annotated[int, Meta(description="The expiry, in Unix seconds")] | UnsetType = UNSET
    metadata: Annotated[Raw, Meta(description="Any JSON")] | UnsetType = UNSET


class CursorInfo(Struct, gc=False):
    """What is to be known of a page of keys."""

    count: Annotated[int, Meta(description="How many keys the page has")]
    cursor: Annotated[str, Meta(description="Asks for the next page; empty on the last")]


def decode_listing(asked: Mapping[str, str], namespace: str, limits: Limits) -> List:
    """Return which keys a query lists."""
    return decode_list(namespace, asked, limits.page(asked.get("limit")))


def encode_page(page: Page) -> Answer:
    """Return one page of keys."""
    keys = [_key(info) for info in page.keys]
    return answer_with(keys, info=CursorInfo(len(keys), encode_cursor(page.cursor)))


def _key(info: KeyInfo) -> CloudflareKey:
    return CloudflareKey(
        info.key,
        UNSET if info.expires_at is None else whole_seconds(info.expires_at),
        UNSET if info.metadata is None else Raw(info.metadata),
    )
