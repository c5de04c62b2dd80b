"""Describe the options that code gives to `kv()` for editors and type checkers.

There is a mapping for each struct of options. `tests/typing/` compares their fields.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from ..user import Scope, Verb
from .access import (
    AccessOptions,
    CorsOptions,
    RateLimitEnv,
    RateLimitOptions,
    SentryEnv,
    SentryOptions,
)
from .audit import AuditEnv, AuditOptions
from .auth import (
    ApiKeyCredential,
    ApiKeyEnv,
    ApiKeyOptions,
    AuthOptions,
    BasicEnv,
    BasicOptions,
    UserCredential,
)
from .group import Secret
from .jwt import JwksOptions, JwtEnv, JwtIssuer, JwtOptions, NamedScope
from .limits import LimitsOptions
from .tree import (
    CacheOptions,
    ChangesOptions,
    CloudflareEndpointsOptions,
    CloudflareOptions,
    EndpointsOptions,
    EnvOptions,
    MetricsEnv,
    MetricsOptions,
    V1Options,
)


class ScopeDict(TypedDict, total=False):
    """Gives a `Scope` as a mapping."""

    verbs: Required[Sequence[Verb]]
    prefixes: list[str] | tuple[str, ...]
    namespaces: list[str] | tuple[str, ...] | None


class CredentialDict(TypedDict, total=False):
    """Gives a `Credential` as a mapping."""

    name: Required[str]
    hash: Secret | str | None
    scopes: Sequence[Scope | ScopeDict] | None
    not_before: int | None
    expires_at: int | None


class ApiKeyCredentialDict(CredentialDict, total=False):
    """Gives an `ApiKeyCredential` as a mapping."""

    api_key: Secret | str | None


class ApiKeyEnvDict(TypedDict, total=False):
    """Gives an `ApiKeyEnv` as a mapping."""

    api_key: str
    api_keys: str
    file: str


class ApiKeyOptionsDict(TypedDict, total=False):
    """Gives an `ApiKeyOptions` as a mapping."""

    api_key: Secret | str | None
    api_keys: Sequence[ApiKeyCredential | ApiKeyCredentialDict]
    file: str | None
    get_credentials: Callable[[Any], Any] | None
    verify_credentials: Callable[[str], Any] | None
    env: ApiKeyEnv | ApiKeyEnvDict


class UserCredentialDict(CredentialDict, total=False):
    """Gives a `UserCredential` as a mapping."""

    password: Secret | str | None


class BasicEnvDict(TypedDict, total=False):
    """Gives a `BasicEnv` as a mapping."""

    username: str
    password: str
    users: str
    file: str


class BasicOptionsDict(TypedDict, total=False):
    """Gives a `BasicOptions` as a mapping."""

    username: str | None
    password: Secret | str | None
    users: Sequence[UserCredential | UserCredentialDict]
    file: str | None
    get_credentials: Callable[[Any], Any] | None
    verify_credentials: Callable[[str, str], Any] | None
    env: BasicEnv | BasicEnvDict


class NamedScopeDict(ScopeDict, total=False):
    """Gives a `NamedScope` as a mapping."""

    name: Required[str]


class TokenRulesDict(TypedDict, total=False):
    """Gives a `TokenRules` as a mapping."""

    audience: str | list[str] | tuple[str, ...] | None
    client_id: str | list[str] | tuple[str, ...] | None
    required_claims: list[str] | tuple[str, ...]
    scopes_claim: str | list[str] | tuple[str, ...] | None
    scopes: Sequence[NamedScope | NamedScopeDict]


class JwksOptionsDict(TypedDict, total=False):
    """Gives a `JwksOptions` as a mapping."""

    url: Secret | str | None
    cache_ttl: int | Literal[False]
    timeout_seconds: float
    limit_bytes: int
    refetch_seconds: int


class JwtIssuerDict(TokenRulesDict, total=False):
    """Gives a `JwtIssuer` as a mapping."""

    issuer: Required[str]
    jwks_url: Secret | str | None


class JwtEnvDict(TypedDict, total=False):
    """Gives a `JwtEnv` as a mapping."""

    jwks_url: str
    secret: str
    issuer: str
    audience: str
    client_id: str


class JwtOptionsDict(TokenRulesDict, total=False):
    """Gives a `JwtOptions` as a mapping."""

    secret: Secret | str | None
    jwks: JwksOptions | JwksOptionsDict
    issuer: str | list[str] | tuple[str, ...] | None
    issuers: Sequence[JwtIssuer | JwtIssuerDict]
    header: str
    leeway_seconds: int
    get_credentials: Callable[[Any], Any] | None
    verify_credentials: Callable[[Mapping[str, Any]], Any] | None
    env: JwtEnv | JwtEnvDict


class AuthOptionsDict(TypedDict, total=False):
    """Gives an `AuthOptions` as a mapping."""

    api_key: ApiKeyOptions | ApiKeyOptionsDict | bool
    basic: BasicOptions | BasicOptionsDict | bool
    jwt: JwtOptions | JwtOptionsDict | bool
    stored_api_keys: bool
    authenticate_request: Callable[[Any, Any], Any] | None
    failure_seconds: float


class V1OptionsDict(TypedDict, total=False):
    """Gives a `V1Options` as a mapping."""

    admin: str | Literal[False]
    kv: str | Literal[False]
    changes: str | Literal[False]
    whoami: str | Literal[False]


class CloudflareEndpointsOptionsDict(TypedDict, total=False):
    """Gives a `CloudflareEndpointsOptions` as a mapping."""

    rest: str | Literal[False]
    binding: str | Literal[False]


class EndpointsOptionsDict(TypedDict, total=False):
    """Gives an `EndpointsOptions` as a mapping."""

    v1: V1Options | V1OptionsDict
    cloudflare: CloudflareEndpointsOptions | CloudflareEndpointsOptionsDict
    public: str | Literal[False]
    console: str | Literal[False]
    docs: str | Literal[False]
    metrics: str | Literal[False]


class EnvOptionsDict(TypedDict, total=False):
    """Gives an `EnvOptions` as a mapping."""

    database: str
    database_token: str


class LimitsOptionsDict(TypedDict, total=False):
    """Gives a `LimitsOptions` as a mapping."""

    value_bytes: int
    key_bytes: int
    batch_operations: int
    batch_bytes: int
    patch_bytes: int
    json_depth: int
    body_seconds: int
    memory_bytes: int | None


class CacheOptionsDict(TypedDict, total=False):
    """Gives a `CacheOptions` as a mapping."""

    ttl: int
    follow: bool
    entries: int
    bytes: int


class ChangesOptionsDict(TypedDict, total=False):
    """Gives a `ChangesOptions` as a mapping."""

    seconds: int
    entries: int
    streams: int


class MetricsEnvDict(TypedDict, total=False):
    """Gives a `MetricsEnv` as a mapping."""

    token: str


class MetricsOptionsDict(TypedDict, total=False):
    """Gives a `MetricsOptions` as a mapping."""

    token: Secret | str | None
    env: MetricsEnv | MetricsEnvDict


class CloudflareOptionsDict(TypedDict, total=False):
    """Gives a `CloudflareOptions` as a mapping."""

    relaxed: bool
    accounts: list[str] | tuple[str, ...]


class RateLimitEnvDict(TypedDict, total=False):
    """Gives a `RateLimitEnv` as a mapping."""

    store: str


class RateLimitOptionsDict(TypedDict, total=False):
    """Gives a `RateLimitOptions` as a mapping."""

    limit: int
    window: int
    by: Literal["address", "user"]
    store: Secret | str | None
    limiter: Callable[[str], Any] | None
    env: RateLimitEnv | RateLimitEnvDict


class AccessOptionsDict(TypedDict, total=False):
    """Gives an `AccessOptions` as a mapping."""

    ip: list[str] | tuple[str, ...] | Literal[False]
    trusted_proxies: list[str] | tuple[str, ...]
    rate_limit: RateLimitOptions | RateLimitOptionsDict | bool


class CorsOptionsDict(TypedDict, total=False):
    """Gives a `CorsOptions` as a mapping."""

    origin: str | list[str] | tuple[str, ...] | Callable[[str], bool]
    methods: list[str] | tuple[str, ...]
    headers: list[str] | tuple[str, ...]
    expose_headers: list[str] | tuple[str, ...]
    max_age: int
    credentials: bool
    private_network: bool


class SentryEnvDict(TypedDict, total=False):
    """Gives a `SentryEnv` as a mapping."""

    dsn: str


class SentryOptionsDict(TypedDict, total=False):
    """Gives a `SentryOptions` as a mapping."""

    dsn: Secret | str | None
    environment: str | None
    env: SentryEnv | SentryEnvDict


class AuditEnvDict(TypedDict, total=False):
    """Gives an `AuditEnv` as a mapping."""

    path: str
    hash_secret: str


class AuditOptionsDict(TypedDict, total=False):
    """Gives an `AuditOptions` as a mapping."""

    path: str | None
    function: Callable[[dict[str, Any]], Any] | None
    hash_secret: Secret | str | None
    reads: bool
    env: AuditEnv | AuditEnvDict


class OptionsDict(TypedDict, total=False):
    """Gives an `Options` as a mapping."""

    auth: AuthOptions | AuthOptionsDict
    base_path: str
    endpoints: EndpointsOptions | EndpointsOptionsDict
    env: EnvOptions | EnvOptionsDict
    limits: LimitsOptions | LimitsOptionsDict
    cache: CacheOptions | CacheOptionsDict | bool
    changes: ChangesOptions | ChangesOptionsDict | bool
    metrics: MetricsOptions | MetricsOptionsDict
    cloudflare: CloudflareOptions | CloudflareOptionsDict
    access: AccessOptions | AccessOptionsDict
    cors: CorsOptions | CorsOptionsDict | bool
    sentry: SentryOptions | SentryOptionsDict | bool
    audit: AuditOptions | AuditOptionsDict | bool
    opentelemetry: bool
    logger: Callable[..., None] | Literal[False]
    runtime: Any
    get_env: Callable[[], Mapping[str, str]]
