"""Listing the keys of a namespace."""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....entry import KeyInfo, whole_seconds
from ....http.answer import Answer
from ....namespaces import Namespaces
from ....storage import Storage, permitted
from ..limits import Limits
from ..listing import encoded_cursor, listed
from .call import Call
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


class KeyRoutes:
    """The keys of a namespace."""

    def __init__(self, storage: Storage, namespaces: Namespaces, limits: Limits) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._limits = limits

    async def list(self, call: Call) -> Answer:
        """One page of keys, in the order of their UTF-8 bytes."""
        namespace = (await call.found(self._namespaces, fresh=False)).name
        asked = call.query()
        limit = self._limits.page(asked.get("limit"))
        storage = permitted(self._storage, call.exchange.user)
        page = await listed(storage, namespace, asked.get("prefix", ""), limit, asked.get("cursor"))
        keys = [CloudflareKey(info.key, *shown(info)) for info in page.keys]
        info = CursorInfo(len(keys), encoded_cursor(page.cursor))
        return answer_with(keys, info=info)


def shown(info: KeyInfo) -> tuple[int | UnsetType, Raw | UnsetType]:
    """The expiry and metadata of a key, where it has some."""
    return (
        UNSET if info.expires_at is None else whole_seconds(info.expires_at),
        UNSET if info.metadata is None else Raw(info.metadata),
    )
