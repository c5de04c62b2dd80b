"""Make, list, get and revoke the API keys that the storage keeps."""

from typing import Final

from ....credentials import ApiKeys, check_grant
from ....errors import Forbidden
from ....http.answer import Answer
from ....http.body import check_json, read_body
from ....http.exchange import Exchange
from ....http.path import rest_of_path
from ....http.query import query
from ....http.trail import note
from ....options import LimitsOptions
from ....storage.wrappers.audited import Act
from ..envelope import data_answer, object_answer
from .api_key_bodies import decode_key, new_key

_BODY_BYTES: Final = 64 * 1024
_NO_STORE: Final = [(b"cache-control", b"no-store")]


class ApiKeyHandlers:
    """Handles requests about API keys, which they name by their names."""

    def __init__(self, limits: LimitsOptions, keys: ApiKeys, below: str) -> None:
        self._limits = limits
        self._keys = keys
        self._below = below

    async def list(self, exchange: Exchange) -> Answer:
        """Answer with all keys, without their secrets."""
        query(exchange, ())
        return object_answer(await self._keys.all(), _NO_STORE)

    async def create(self, exchange: Exchange) -> Answer:
        """Make a key that permits no more than its maker may do, and answer with its secret."""
        query(exchange, ())
        check_json(exchange)
        seconds = self._limits.body_seconds
        wanted = decode_key(await read_body(exchange, _BODY_BYTES, "an API key", seconds=seconds))
        expires_at = wanted.expiry(self._keys.storage.clock())
        user = exchange.user
        act = Act(action="create_api_key", api_key=wanted.name)
        try:
            check_grant(user, wanted.scopes, expires_at)
        except Forbidden as error:
            act.status = error.status
            note(exchange, act)
            raise
        text, key = await self._keys.create(
            wanted.name,
            scopes=wanted.scopes,
            not_before=wanted.not_before,
            expires_at=expires_at,
            created_by=f"{user.strategy}:{user.id}",
        )
        act.status = 200
        note(exchange, act)
        return object_answer(new_key(text, key), _NO_STORE)

    async def get(self, exchange: Exchange) -> Answer:
        """Answer with a key, without its secret."""
        return object_answer(await self._keys.named(self._name(exchange)), _NO_STORE)

    async def revoke(self, exchange: Exchange) -> Answer:
        """Delete a key."""
        name = self._name(exchange)
        await self._keys.revoke(name)
        note(exchange, Act(action="revoke_api_key", api_key=name, status=200))
        return data_answer(b"true")

    def _name(self, exchange: Exchange) -> str:
        query(exchange, ())
        return rest_of_path(exchange, self._below)
