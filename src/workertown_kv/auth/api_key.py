"""Verify API keys, sent as `Authorization: Bearer …` (RFC 6750, 2.1)."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from ..errors import OptionsError
from ..files import Files
from ..http.exchange import Exchange
from ..options import ApiKeyCredential, ApiKeyOptions, Options, Secret
from ..storage import Clock
from ..user import User
from .credentials import TimedUser, named_credentials
from .hashes import digest, parse_api_key_hash
from .hooks import call_hook, text_by_hook, user_by_verdict
from .strategy import credentials_in

RECENT: Final = 1000
"""The most `Authorization` fields that are kept."""


class ApiKey:
    """Authenticates requests that carry one of the keys."""

    name: ClassVar[str] = "api_key"
    challenge: ClassVar[str] = 'Bearer realm="workertown-kv"'

    def __init__(
        self,
        keys: Sequence[ApiKeyCredential],
        clock: Clock,
        *,
        get_credentials: Callable[[Any], Any] | None = None,
        verify_credentials: Callable[[str], Any] | None = None,
    ) -> None:
        self._clock = clock
        self._get = get_credentials
        self._verify = verify_credentials
        # The time of finding a key by its digest reveals nothing about the key, since a client
        # cannot choose the digest of the text that it sends.
        self._known: dict[bytes, TimedUser] = {}
        self._recent: dict[bytes | None, TimedUser] = {}
        """By `Authorization` fields with a valid key: finding one costs less than a digest."""
        for key in keys:
            expected = _digest_of(key)
            if expected in self._known:
                other = self._known[expected].user.id
                raise OptionsError(f"The API keys {key.name!r} and {other!r} are the same")
            self._known[expected] = TimedUser.of(key, self.name, expected)

    @classmethod
    def configured(cls, options: Options, clock: Clock, files: Files) -> "ApiKey | None":
        """Make the strategy if there are keys, or a hook that verifies them."""
        chosen = options.auth.api_key
        if not isinstance(chosen, ApiKeyOptions):
            return None
        single = chosen.api_key or options.secret(chosen.env.api_key)
        keys = named_credentials(
            ApiKeyCredential,
            options,
            files,
            single={"name": cls.name, "api_key": single},
            given=chosen.api_keys,
            variable=chosen.env.api_keys,
            file=chosen.file or options.environment(chosen.env.file),
        )
        if not keys and chosen.verify_credentials is None:
            return None
        return cls(
            keys,
            clock,
            get_credentials=chosen.get_credentials,
            verify_credentials=chosen.verify_credentials,
        )

    def name_of(self, api_key: str) -> str | None:
        """Return the name of one of the keys, if it is one."""
        known = self._known.get(digest(api_key.encode()))
        return None if known is None else known.user.id

    @property
    def summary(self) -> str:
        return f"{len(self._known):,} {'API key' if len(self._known) == 1 else 'API keys'}"

    def seen(self, authorization: bytes | None) -> User | None:
        """Return the user of an `Authorization` field that was verified before, and still is."""
        known = self._recent.get(authorization)
        return None if known is None else known.user_at(self._clock())

    async def authenticate(self, exchange: Exchange, authorization: bytes) -> User | None:
        user = self.seen(authorization)
        if user is not None:
            return user
        if self._get is None:
            sent = credentials_in(authorization, b"bearer")
        else:
            sent = await text_by_hook("auth.api_key", self._get, exchange, authorization)
        if not sent:
            return None
        if self._verify is not None:
            return await self._ask_hook(self._verify, sent)
        known = self._known.get(digest(sent))
        if known is None:
            return None
        if self._get is None and len(self._recent) < RECENT:
            self._recent[authorization] = known
        return known.user_at(self._clock())

    async def renewed(self, user: User) -> User | None:
        if self._verify is not None:
            return user
        known = (known for known in self._known.values() if known.user.id == user.id)
        return next((known.user_at(self._clock()) for known in known), None)

    async def _ask_hook(self, hook: Callable[[str], Any], sent: bytes) -> User | None:
        name = "auth.api_key.verify_credentials"
        try:
            api_key = sent.decode()
        except UnicodeDecodeError:
            return None
        verdict = await call_hook(name, hook, api_key)
        return user_by_verdict(name, verdict, User(id=self.name, strategy=self.name))


def _digest_of(key: ApiKeyCredential) -> bytes:
    if key.api_key:
        return digest(key.api_key.reveal().encode())
    assert isinstance(key.hash, Secret)
    try:
        return parse_api_key_hash(key.hash.reveal())
    except ValueError as error:
        raise OptionsError(
            f"The hash of the API key {key.name!r} cannot be used: {error}; "
            "`workertown-kv api-key` prints one"
        ) from error
