"""Verify API keys that were made at run time, and that the storage keeps."""

from typing import ClassVar, Final

import msgspec

from ..credentials import ApiKeys, KeyRecord, id_in, id_of
from ..http.exchange import Exchange
from ..storage import Capability
from ..user import Fingerprint, User
from .api_key import RECENT, ApiKey
from .credentials import TimedUser
from .strategy import credentials_in

FRESH_SECONDS: Final = 0.8
"""How long a key that was found is accepted without another read."""

FRESH_WITHOUT_CHANGES_SECONDS: Final = 5.0
"""The same over an engine without changes: such an engine charges for each read, or is far away."""


class _Accepted(msgspec.Struct, frozen=True):
    user: TimedUser
    since: float
    """When the read began: the key may be revoked from then on."""
    until: float
    revision: int


class StoredApiKey:
    """Authenticates requests that carry an API key which the storage keeps.

    Only acceptance is cached: each refusal comes from a read, so that a new key works at once.
    """

    name: ClassVar[str] = "stored_api_key"
    challenge: ClassVar[str] = ApiKey.challenge

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys
        self._clock = keys.storage.clock
        has_changes = Capability.CHANGES not in keys.storage.lacks
        self._fresh = FRESH_SECONDS if has_changes else FRESH_WITHOUT_CHANGES_SECONDS
        self._accepted: dict[bytes, _Accepted] = {}
        """By `Authorization` fields."""

    @property
    def summary(self) -> str:
        return "API keys in the storage"

    async def authenticate(self, exchange: Exchange, authorization: bytes) -> User | None:
        now = self._clock()
        accepted = self._accepted.get(authorization)
        if (
            accepted is None
            or not accepted.since <= now < accepted.until  # the clock may have been set back
            or accepted.revision != self._keys.revision
        ):
            accepted = await self._accept(authorization, now)
        return None if accepted is None else accepted.user.user_at(now)

    async def renewed(self, user: User) -> User | None:
        found = await self._keys.find(id_of(user.id))
        return None if found is None else self._timed(found).user_at(self._clock())

    async def _accept(self, authorization: bytes, now: float) -> _Accepted | None:
        """Read the key that is sent, and accept it if it is right."""
        sent = credentials_in(authorization, b"bearer")
        id = None if sent is None else id_in(sent)
        if sent is None or id is None:
            return None
        revision = self._keys.revision
        found = await self._keys.find(id)
        if found is None or not found.fits(sent):
            self._accepted.pop(authorization, None)
            return None
        if len(self._accepted) >= RECENT:
            self._accepted.clear()
        accepted = _Accepted(self._timed(found), now, now + self._fresh, revision)
        self._accepted[authorization] = accepted
        return accepted

    def _timed(self, record: KeyRecord) -> TimedUser:
        key = record.key
        user = User(
            id=key.name,
            strategy=self.name,
            scopes=key.scopes,
            expires_at=key.expires_at,
            credential=Fingerprint.of(record.sha256.encode()),
        )
        return TimedUser(user, key.not_before, key.expires_at)
