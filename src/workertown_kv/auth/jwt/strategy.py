"""Verify JSON Web Tokens (RFC 7519), sent as `Authorization: Bearer …` or in another field."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec
from joserfc.jwk import Key

from ...http.exchange import Exchange
from ...options import JwtOptions
from ...storage import Clock
from ...user import User
from ..hooks import call_hook, text_by_hook, user_by_verdict
from ..strategy import credentials_in
from ..verified_cache import VerifiedCache
from .claims import check_claims, check_times, scopes_of
from .issuers import Issuer
from .jose import PUBLIC_ALGORITHMS, SECRET_ALGORITHMS, Token, check_signature, parse_token
from .jwks import KeySet
from .refusal import Refusals, TokenRefused, one_of, shown

CACHED_TOKENS: Final = 4096


class _Verified(msgspec.Struct, frozen=True):
    user: User
    until: float
    """When the token must be verified again, since it expires or its issuer may have other keys."""
    key_set: KeySet | None
    """The key set whose key has signed the token; `None` if the secret has."""
    revision: int
    """The revision of the key set at that time."""


class Jwt:
    """Authenticates requests that carry a valid token of a configured issuer.

    The claim `kv`, or the claims that the options name, limit what the token permits.
    """

    name: ClassVar[str] = "jwt"
    challenge: ClassVar[str] = 'Bearer realm="workertown-kv"'

    def __init__(self, options: JwtOptions, clock: Clock, issuers: Sequence[Issuer]) -> None:
        self._options = options
        self._clock = clock
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._names = tuple(issuer.name for issuer in issuers if issuer.name is not None)
        self._own_field = options.header.lower().encode() if options.has_own_field else None
        self._cache: VerifiedCache[_Verified] = VerifiedCache(CACHED_TOKENS)
        self._refusals = Refusals(clock)

    @property
    def summary(self) -> str:
        return "tokens"

    async def authenticate(self, exchange: Exchange, authorization: bytes) -> User | None:
        if self._options.get_credentials is not None:
            hook = self._options.get_credentials
            token = await text_by_hook("auth.jwt", hook, exchange, authorization)
        elif self._own_field is None:
            token = credentials_in(authorization, b"bearer")
        else:
            token = _token_in(exchange, self._own_field)
        if not token:
            return None
        digest = self._cache.digest(token)
        verified = self._cache.get(digest)
        if verified is None or not self._holds(verified):
            try:
                verified = await self._verify(token)
            except TokenRefused as refused:
                self._refusals.log(refused, exchange.request_id)
                return None
            self._cache.add(digest, verified)
        return await self._ask_hook(verified)

    async def renewed(self, user: User) -> User | None:
        return user  # a token is valid until the time that it says itself

    def _holds(self, verified: _Verified) -> bool:
        if self._clock() >= verified.until:
            return False
        return verified.key_set is None or verified.revision == verified.key_set.revision

    async def _verify(self, sent: bytes) -> _Verified:
        """Verify a token. Raises `TokenRefused`."""
        token = parse_token(sent)
        issuer = self._issuer_of(token.unverified_claims)
        keys, key_set = await self._keys(token, issuer)
        revision = key_set.revision if key_set else 0
        check_signature(token, keys)
        claims = token.unverified_claims
        leeway = self._options.leeway_seconds
        check_times(claims, self._clock(), leeway)
        check_claims(claims, issuer.rules)
        user = User(
            id=claims.get("sub") or self.name,
            strategy=self.name,
            # Hooks get the same claims with each request, and must not change them.
            claims=MappingProxyType(claims),
            scopes=scopes_of(claims, issuer.rules),
        )
        until = min(claims.get("exp", inf) + leeway, key_set.fresh_until if key_set else inf)
        return _Verified(user, until, key_set, revision)

    def _issuer_of(self, claims: Mapping[str, Any]) -> Issuer:
        """Return the issuer that the claims name. Only its keys may verify the token."""
        name = claims.get("iss")
        known = self._issuers.get(name) if isinstance(name, str) else None
        found = known or self._issuers.get(None)
        if found is None or not isinstance(name, str | None):
            expected = one_of(self._names) if self._names else "text"
            raise TokenRefused("issuer", f"iss is {shown(name)}; expected {expected}")
        return found

    async def _keys(self, token: Token, issuer: Issuer) -> tuple[Sequence[Key], KeySet | None]:
        """Return the keys that may have signed a token, and their key set."""
        algorithm = token.algorithm
        if algorithm in SECRET_ALGORITHMS and issuer.secret is not None:
            return (issuer.secret,), None
        if algorithm in PUBLIC_ALGORITHMS and issuer.key_set is not None:
            return await issuer.key_set.keys(token.kid), issuer.key_set
        accepted = (
            *(sorted(PUBLIC_ALGORITHMS) if issuer.key_set else ()),
            *(sorted(SECRET_ALGORITHMS) if issuer.secret else ()),
        )
        raise TokenRefused(
            "algorithm", f"alg is {shown(algorithm)}; expected one of {', '.join(accepted)}"
        )

    async def _ask_hook(self, verified: _Verified) -> User | None:
        hook: Callable[[Mapping[str, Any]], Any] | None = self._options.verify_credentials
        if hook is None:
            return verified.user
        name = "auth.jwt.verify_credentials"
        return user_by_verdict(
            name, await call_hook(name, hook, verified.user.claims), verified.user
        )


def _token_in(exchange: Exchange, name: bytes) -> bytes | None:
    """Return the token in a header field, without `Bearer`, unless the field is repeated."""
    field = exchange.fields.get(name)
    if field is None or name in exchange.repeated:
        return None
    scheme, _, token = field.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else field
