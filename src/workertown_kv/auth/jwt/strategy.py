"""JSON Web Tokens (RFC 7519), sent as `Authorization: Bearer …`."""

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec
from joserfc.jwk import Key, OctKey
from starlette.types import Scope

from ...errors import OptionsError
from ...options import JwtOptions, parse_scopes
from ...storage import Clock
from ...user import User
from ..hooks import call_hook, text_by_hook, user_by_verdict
from ..seen import Seen
from ..strategy import authorization
from .jose import (
    PUBLIC_ALGORITHMS,
    SECRET_ALGORITHMS,
    TokenRefused,
    check_claims,
    parse_token,
    verified_claims,
)
from .jwks import KeySet

SEEN_TOKENS: Final = 4096
_LOG: Final = logging.getLogger("workertown_kv")


class _Verified(msgspec.Struct, frozen=True):
    user: User
    until: float
    """When it has to be verified again: it has expired then, or other keys may be in force."""
    revision: int | None
    """That of the key set, where it was signed with one of its keys."""


class Jwt:
    """Admits whoever sends a token that the issuer has signed, and that holds now.

    Where the token has a claim `kv`, that is the list of its scopes.
    """

    name: ClassVar[str] = "jwt"
    challenge: ClassVar[str] = 'Bearer realm="workertown-kv"'

    def __init__(
        self,
        options: JwtOptions,
        clock: Clock,
        *,
        secret: OctKey | None,
        key_set: KeySet | None,
        issuer: str | None,
        audience: str | None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._secret = secret
        self._key_set = key_set
        self._issuer = issuer
        self._audience = audience
        self._seen: Seen[_Verified] = Seen(SEEN_TOKENS)

    @property
    def summary(self) -> str:
        return "tokens"

    async def authenticate(self, scope: Scope) -> User | None:
        if self._options.get_credentials is None:
            token = authorization(scope, b"bearer")
        else:
            token = await text_by_hook("auth.jwt", self._options.get_credentials, scope)
        if not token:
            return None
        digest = self._seen.digest(token)
        verified = self._seen.get(digest)
        if verified is None or not self._holds(verified):
            verified = await self._verified(token)
            if verified is None:
                return None
            self._seen.add(digest, verified)
        return await self._checked(verified)

    def _holds(self, verified: _Verified) -> bool:
        if self._clock() >= verified.until:
            return False
        return self._key_set is None or verified.revision in (None, self._key_set.revision)

    async def _verified(self, token: bytes) -> _Verified | None:
        try:
            parsed = parse_token(token)
            keys, fresh_until, revision = await self._keys(parsed.algorithm, parsed.kid)
            claims = verified_claims(parsed, keys)
            check_claims(
                claims,
                issuer=self._issuer,
                audience=self._audience,
                leeway_seconds=self._options.leeway_seconds,
                now=self._clock(),
            )
            scopes = parse_scopes(claims["kv"]) if "kv" in claims else None
        except (TokenRefused, OptionsError) as error:
            # Quoted, since parts of it are what the token says: a line break would forge a line.
            _LOG.info("A JWT is refused: %.500r", str(error))
            return None
        expires_at = claims.get("exp", inf) + self._options.leeway_seconds
        user = User(
            id=claims.get("sub", self.name),
            strategy=self.name,
            # Hooks of several requests are given the same claims.
            claims=MappingProxyType(claims),
            scopes=scopes,
        )
        return _Verified(user, min(expires_at, fresh_until), revision)

    async def _keys(
        self, algorithm: str, kid: str | None
    ) -> tuple[Sequence[Key], float, int | None]:
        """The keys for an algorithm, until when they are in force, and their revision."""
        if algorithm in SECRET_ALGORITHMS and self._secret is not None:
            return (self._secret,), inf, None
        if algorithm in PUBLIC_ALGORITHMS and self._key_set is not None:
            keys = await self._key_set.keys(kid)
            return keys, self._key_set.fresh_until, self._key_set.revision
        raise TokenRefused(f"There is no key for the algorithm {algorithm[:20]!r}")

    async def _checked(self, verified: _Verified) -> User | None:
        hook: Callable[[Mapping[str, Any]], Any] | None = self._options.verify_credentials
        if hook is None:
            return verified.user
        name = "auth.jwt.verify_credentials"
        return user_by_verdict(
            name, await call_hook(name, hook, verified.user.claims), verified.user
        )
