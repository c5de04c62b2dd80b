"""The options of a server: types and defaults in `tree`, what was given to `kv()` in `parsing`."""

from .parsing import parse_options
from .tree import (
    ApiKeyEnv,
    ApiKeyOptions,
    AuthOptions,
    BasicEnv,
    BasicOptions,
    EndpointsOptions,
    Environment,
    EnvOptions,
    JwtEnv,
    JwtOptions,
    LimitsOptions,
    Logger,
    Options,
    Secret,
    V1Options,
    describe_options,
    no_environment,
)

__all__ = [
    "ApiKeyEnv",
    "ApiKeyOptions",
    "AuthOptions",
    "BasicEnv",
    "BasicOptions",
    "EndpointsOptions",
    "EnvOptions",
    "Environment",
    "JwtEnv",
    "JwtOptions",
    "LimitsOptions",
    "Logger",
    "Options",
    "Secret",
    "V1Options",
    "describe_options",
    "no_environment",
    "parse_options",
]
