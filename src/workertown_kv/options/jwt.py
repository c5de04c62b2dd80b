"""Define the options of `auth.jwt`."""

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, Literal

from ..user import Scope
from .group import NO_SECRET, Group, SecretOption

AUTHORIZATION: Final = "Authorization"

_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2


class JwtEnv(Group, frozen=True):
    """The environment variables of JWT authentication."""

    jwks_url: str = "KV_JWKS_URL"
    """The variable that holds the URL of a key set."""
    secret: str = "KV_JWT_SECRET"  # noqa: S105  (the name of a variable, not a secret)
    """The variable that holds a shared secret."""
    issuer: str = "KV_JWT_ISSUER"
    """The variable that holds the issuer, or several separated by commas."""
    audience: str = "KV_JWT_AUDIENCE"
    """The variable that holds the audience, or several separated by commas."""
    client_id: str = "KV_JWT_CLIENT_ID"
    """The variable that holds the client id, or several separated by commas."""


class JwksOptions(Group, frozen=True):
    """The key set of an issuer (RFC 7517, 5)."""

    url: SecretOption = NO_SECRET
    """The URL; by default, it comes from the environment."""
    cache_ttl: int | Literal[False] = 86_400
    """The seconds after which the keys are fetched again, or sooner if `Cache-Control: max-age` of
    the issuer is shorter; `False` fetches them for each token."""
    timeout_seconds: float = 5.0
    """The seconds that a fetch may take, including the discovery before it."""
    limit_bytes: int = 1024 * 1024
    """The largest key set, and the largest discovery document; more is not read."""
    refetch_seconds: int = 60
    """The seconds to wait after an unknown `kid` or a failure before the next fetch."""

    def check(self) -> None:
        if self.cache_ttl is not False:
            self.check_at_least(1, "cache_ttl")
        self.check_at_least(1, "limit_bytes", "refetch_seconds")
        if not 0 < self.timeout_seconds < inf:
            raise ValueError(f"timeout_seconds is {self.timeout_seconds}; expected more than 0")


class NamedScope(Scope, frozen=True, kw_only=True):
    """A scope, and its name in tokens."""

    name: str
    """The name in the claim, such as `kv.read`; several scopes may have the same name."""


class TokenRules(Group, frozen=True):
    """The requirements on the claims of a token, and the scopes that they grant."""

    audience: str | tuple[str, ...] | None = None
    """The accepted audiences: `aud` must be one of them, or a list that contains one. If none is
    set here (or, for `auth.jwt`, in the environment), tokens with `aud` are refused."""
    client_id: str | tuple[str, ...] | None = None
    """The accepted client ids: `client_id` and `azp` must each be one of them. If none is set here
    (or, for `auth.jwt`, in the environment), all are accepted."""
    required_claims: tuple[str, ...] = ()
    """The texts that other claims must have, as `claim=text`. A claim with several entries must
    have one of their texts, and a dot leads into an object."""
    scopes_claim: str | tuple[str, ...] | None = None
    """The claims that hold the scopes, such as `scope` or `realm_access.roles`; a token without
    them permits nothing. The default is `kv`, but a token without `kv` permits everything."""
    scopes: tuple[NamedScope, ...] = ()
    """The scopes for the names in `scopes_claim`; an unknown name permits nothing."""

    def check(self) -> None:
        for name in ("audience", "client_id", "scopes_claim"):
            check_texts(name, getattr(self, name))
        for number, claim in enumerate(self.required_claims):
            if not all(claim.partition("=")):
                raise ValueError(
                    f"required_claims[{number}] is not claim=text; expected such as "
                    "repository_owner=octo-org"
                )
        if self.scopes and not self.scopes_claim:
            raise ValueError(
                "scopes is given without scopes_claim, which says where a token has their names; "
                "expected both"
            )

    @property
    def names_recipient(self) -> bool:
        """Return whether a token must say that it is for this server, or for a client of it."""
        return bool(self.audience or self.client_id)


class JwtIssuer(TokenRules, frozen=True, kw_only=True):
    """One of several issuers, with its own keys and rules."""

    issuer: str
    """The value that `iss` must have."""
    jwks_url: SecretOption = NO_SECRET
    """The URL of its key set; by default, it comes from the OpenID discovery document."""

    def check(self) -> None:
        super().check()
        check_texts("issuer", self.issuer)
        if not self.names_recipient:
            raise ValueError(
                "audience is missing, and so is client_id: every token of the issuer would be "
                "accepted, for any audience; expected one of the two"
            )


class JwtOptions(TokenRules, frozen=True):
    """JSON Web Tokens (RFC 7519), sent as `Authorization: Bearer …`."""

    secret: SecretOption = NO_SECRET
    """The secret of HS256, HS384 and HS512; by default, it comes from the environment."""
    jwks: JwksOptions = JwksOptions()
    issuer: str | tuple[str, ...] | None = None
    """The issuers, of which `iss` must be one; by default, they come from the environment. Without
    any, all are accepted. Without a secret and the URL of a key set, the server finds the key sets
    by OpenID discovery."""
    issuers: tuple[JwtIssuer, ...] = ()
    """More issuers, each with its own keys and rules."""
    header: str = AUTHORIZATION
    """The header field with the token. In a field other than `Authorization`, `Bearer` before the
    token is optional. Pages of other origins need the field in `cors.headers`."""
    leeway_seconds: int = 10
    """The seconds by which the clock of the issuer may differ, for `exp`, `nbf` and `iat`."""
    get_credentials: Callable[[Any], Any] | None = None
    """`(request) -> str | None`: finds the token of a request; replaces the header field."""
    verify_credentials: Callable[[Mapping[str, Any]], Any] | None = None
    """`(claims) -> bool | User`: checks further, after the token has been verified."""
    env: JwtEnv = JwtEnv()

    def check(self) -> None:
        super().check()
        check_texts("issuer", self.issuer)
        self.check_at_least(0, "leeway_seconds")
        if not _FIELD_NAME.fullmatch(self.header):
            raise ValueError(
                "header is not the name of a header field; expected such as Cf-Access-Jwt-Assertion"
            )
        if self.has_own_field and self.get_credentials is not None:
            raise ValueError(
                "header is given together with get_credentials, which would replace it; expected "
                "only one of them"
            )

    @property
    def has_own_field(self) -> bool:
        """Return whether tokens are in another header field than other credentials."""
        return self.header.lower() != AUTHORIZATION.lower()


def texts(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the texts of an option that accepts a text or several."""
    return (given,) if isinstance(given, str) and given else tuple(given or ())


def check_texts(name: str, given: str | tuple[str, ...] | None) -> None:
    """Refuse repeated texts, and an empty text, which an empty claim would fit."""
    found = texts(given)
    if not all(found):
        raise ValueError(f"{name} has an empty text; expected none that is empty")
    if len(set(found)) < len(found):
        raise ValueError(f"{name} has a text twice; expected each once")
