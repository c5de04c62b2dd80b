"""An API key, sent as `Authorization: Bearer …` (RFC 6750, 2.1)."""

from hmac import compare_digest
from typing import ClassVar, Final

from starlette.types import Scope

from ..options import ApiKeyOptions, Options
from .strategy import User, authorization

_USER: Final = User("api_key", "api_key")


class ApiKey:
    """Admits whoever sends the key."""

    name: ClassVar[str] = "api_key"
    challenge: ClassVar[str] = 'Bearer realm="workertown-kv"'

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key.encode()

    @classmethod
    def configured(cls, options: Options) -> "ApiKey | None":
        """The strategy, where the options or the environment have a key."""
        chosen = options.auth.api_key
        if not isinstance(chosen, ApiKeyOptions):
            return None
        given = chosen.api_key.reveal() if chosen.api_key else None
        api_key = given or options.environment(chosen.env.api_key)
        return cls(api_key) if api_key else None

    async def authenticate(self, scope: Scope) -> User | None:
        sent = authorization(scope, b"bearer")
        return _USER if sent is not None and compare_digest(sent, self._api_key) else None
