"""The options of a server: types and defaults in `tree`, what was given to `kv()` in `parsing`."""

from .access import AccessOptions, CorsOptions, RateLimitOptions, SentryOptions
from .auth import (
    ApiKeyCredential,
    ApiKeyEnv,
    ApiKeyOptions,
    AuthOptions,
    BasicOptions,
    Credential,
    JwksOptions,
    JwtOptions,
    UserCredential,
)
from .group import Secret
from .parsing import parse_lines, parse_options, parse_scopes
from .tree import (
    CacheOptions,
    CloudflareEndpointsOptions,
    CloudflareOptions,
    EndpointsOptions,
    Environment,
    EnvOptions,
    LimitsOptions,
    Logger,
    Options,
    V1Options,
    describe_options,
    no_environment,
)

__all__ = [
    "AccessOptions",
    "ApiKeyCredential",
    "ApiKeyEnv",
    "ApiKeyOptions",
    "AuthOptions",
    "BasicOptions",
    "CacheOptions",
    "CloudflareEndpointsOptions",
    "CloudflareOptions",
    "CorsOptions",
    "Credential",
    "EndpointsOptions",
    "EnvOptions",
    "Environment",
    "JwksOptions",
    "JwtOptions",
    "LimitsOptions",
    "Logger",
    "Options",
    "RateLimitOptions",
    "Secret",
    "SentryOptions",
    "UserCredential",
    "V1Options",
    "describe_options",
    "no_environment",
    "parse_lines",
    "parse_options",
    "parse_scopes",
]
