"""Listing the keys of a namespace."""

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from ....entry import KeyInfo, whole_seconds
from ....storage import Namespaces, Storage, permitted
from ...request import user_of
from ..listing import encoded_cursor, listed
from ..rules import Rules
from .call import Call
from .envelope import send_result


class Key(Struct, omit_defaults=True, gc=False):
    """A key as Cloudflare lists it."""

    name: str
    expiration: int | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET


class KeyRoutes:
    """The keys of a namespace."""

    def __init__(self, storage: Storage, namespaces: Namespaces, rules: Rules) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._rules = rules

    async def list(self, call: Call) -> None:
        """One page of keys, in the order of their UTF-8 bytes."""
        namespace = (await call.found(self._namespaces, fresh=False)).name
        asked = call.query()
        limit = self._rules.page(asked.get("limit"))
        storage = permitted(self._storage, user_of(call.scope))
        page = await listed(storage, namespace, asked.get("prefix", ""), limit, asked.get("cursor"))
        keys = [Key(info.key, *shown(info)) for info in page.keys]
        info: dict[str, Any] = {"count": len(keys), "cursor": encoded_cursor(page.cursor)}
        await send_result(call.scope, call.send, keys, info=info)


def shown(info: KeyInfo) -> tuple[int | UnsetType, Raw | UnsetType]:
    """The expiry and metadata of a key, where it has some."""
    return (
        UNSET if info.expires_at is None else whole_seconds(info.expires_at),
        UNSET if info.metadata is None else Raw(info.metadata),
    )
