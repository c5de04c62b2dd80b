"""The options of `auth.jwt`."""

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, Literal

from ..user import Scope
from .group import Group, Secret

AUTHORIZATION: Final = "Authorization"

_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2


class JwtEnv(Group, frozen=True):
    """The environment variables of JWT authentication."""

    jwks_url: str = "KV_JWKS_URL"
    """The variable that holds the URL of a key set."""
    secret: str = "KV_JWT_SECRET"  # noqa: S105  (the name of a variable, not a secret)
    """The variable that holds a shared secret."""
    issuer: str = "KV_JWT_ISSUER"
    """The variable that holds the issuer, or several with commas between."""
    audience: str = "KV_JWT_AUDIENCE"
    """The variable that holds the audience, or several with commas between."""
    client_id: str = "KV_JWT_CLIENT_ID"
    """The variable that holds the client id, or several with commas between."""


class JwksOptions(Group, frozen=True):
    """The key set of an issuer (RFC 7517, 5)."""

    url: Secret | None = None
    """The URL itself; without it, the environment's."""
    cache_ttl: int | Literal[False] = 86_400
    """For how many seconds fetched keys are used before they are fetched again; `False`: for none.
    A shorter `Cache-Control: max-age` of the issuer counts.
    """
    timeout_seconds: float = 5.0
    """How long a fetch may take, with the discovery before it."""
    limit_bytes: int = 1024 * 1024
    """The largest key set, and the largest discovery document; more is not read."""
    refetch_seconds: int = 60
    """How long it takes until the issuer is asked again after an unknown `kid`, or a failure."""

    def __post_init__(self) -> None:
        if self.cache_ttl is not False:
            self.check_at_least(1, "cache_ttl")
        self.check_at_least(1, "limit_bytes", "refetch_seconds")
        if not 0 < self.timeout_seconds < inf:
            raise ValueError(f"timeout_seconds is {self.timeout_seconds}; expected more than 0")


class NamedScope(Scope, frozen=True, kw_only=True):
    """A scope under the name that tokens have for it."""

    name: str
    """What the claim says, such as `kv.read`; several scopes may have the same name."""


class TokenRules(Group, frozen=True):
    """What is asked of the claims of a token, and what they permit."""

    audience: str | tuple[str, ...] | None = None
    """What `aud` must have, one of them if there are several; without it (and, for `auth.jwt`, the
    environment's) no `aud` is accepted."""
    client_id: str | tuple[str, ...] | None = None
    """What `client_id` and `azp` must be, one of them if there are several; without it (and, for
    `auth.jwt`, the environment's) anything."""
    required_claims: tuple[str, ...] = ()
    """What other claims must be, as `claim=text`; a claim that is named several times must be one
    of the texts, and a dot leads into an object."""
    scopes_claim: str | tuple[str, ...] | None = None
    """The claims that say what a token permits, such as `scope` or `realm_access.roles`; a token
    without them permits nothing. Without this option that is `kv`, and a token without `kv` permits
    everything."""
    scopes: tuple[NamedScope, ...] = ()
    """What the names in `scopes_claim` permit; a name that is not here permits nothing."""

    def __post_init__(self) -> None:
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
        """Tell whether a token must say that it is for this server, or for a client of it."""
        return bool(self.audience or self.client_id)


class JwtIssuer(TokenRules, frozen=True, kw_only=True):
    """One of several issuers, with keys and rules of its own."""

    issuer: str
    """What `iss` must be."""
    jwks_url: Secret | None = None
    """The URL of its key set; without it, its OpenID discovery document says where that is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_texts("issuer", self.issuer)
        if not self.names_recipient:
            raise ValueError(
                "audience is missing, and so is client_id: every token of the issuer would get in, "
                "for any audience; expected one of the two"
            )


class JwtOptions(TokenRules, frozen=True):
    """JSON Web Tokens (RFC 7519), sent as `Authorization: Bearer …`."""

    secret: Secret | None = None
    """The secret of HS256, HS384 and HS512 itself; without it, the environment's."""
    jwks: JwksOptions = JwksOptions()
    issuer: str | tuple[str, ...] | None = None
    """What `iss` must be; without it, what the environment says, or else anything. Without a secret
    and the URL of a key set, each of the issuers says by OpenID discovery where its key set is."""
    issuers: tuple[JwtIssuer, ...] = ()
    """More issuers, each with keys and rules of its own."""
    header: str = AUTHORIZATION
    """The header field that has the token: any but `Authorization` has it as it is, or after
    `Bearer`. A page of another origin needs it in `cors.headers`."""
    leeway_seconds: int = 10
    """How far the clock of the issuer may be off, for `exp`, `nbf` and `iat`."""
    get_credentials: Callable[[Any], Any] | None = None
    """`(request) -> str | None`: the token of a request, in place of the header field."""
    verify_credentials: Callable[[Mapping[str, Any]], Any] | None = None
    """`(claims) -> bool | User`: a further check, after the token has been verified."""
    env: JwtEnv = JwtEnv()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_texts("issuer", self.issuer)
        self.check_at_least(0, "leeway_seconds")
        if not _FIELD_NAME.fullmatch(self.header):
            raise ValueError(
                "header is not the name of a header field; expected such as Cf-Access-Jwt-Assertion"
            )
        if self.has_own_field and self.get_credentials is not None:
            raise ValueError(
                "header is given together with get_credentials, which would be asked in its place; "
                "expected one of them"
            )

    @property
    def has_own_field(self) -> bool:
        """Tell whether tokens are in another header field than other credentials."""
        return self.header.lower() != AUTHORIZATION.lower()


def texts(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the texts of an option that takes one or several."""
    return (given,) if isinstance(given, str) and given else tuple(given or ())


def check_texts(name: str, given: str | tuple[str, ...] | None) -> None:
    """Refuse an empty text among several: what is compared with it would fit by being empty."""
    found = texts(given)
    if not all(found):
        raise ValueError(f"{name} has an empty text; expected none that is empty")
    if len(set(found)) < len(found):
        raise ValueError(f"{name} has a text twice; expected each once")
