"""Hold the options of a server: `tree` has their types and defaults, and `parsing` checks them.

`variables_and_file` reads options from variables and from a file.
"""

from .access import AccessOptions, CorsOptions, RateLimitOptions, SentryOptions
from .auth import (
    ApiKeyCredential,
    ApiKeyEnv,
    ApiKeyOptions,
    AuthOptions,
    BasicOptions,
    Credential,
    UserCredential,
)
from .environment import check_text, text_of
from .given import OptionsDict
from .group import Secret, is_async, without_credentials
from .jwt import AUTHORIZATION, JwksOptions, JwtIssuer, JwtOptions, TokenRules, texts
from .parsing import given_options, parse_lines, parse_options, parse_scopes
from .tree import (
    CacheOptions,
    ChangesOptions,
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
from .variables import (
    COMMANDS,
    CONFIG,
    FLAGS,
    UnreadVariable,
    is_of_service,
    named_variables,
    unread_variables,
    variable_of_flag,
)
from .variables_and_file import (
    Layer,
    layer_of_code,
    layer_of_file,
    layer_of_variables,
    parse_layers,
    source_of,
    variable_of,
)

__all__ = [
    "AUTHORIZATION",
    "COMMANDS",
    "CONFIG",
    "FLAGS",
    "AccessOptions",
    "ApiKeyCredential",
    "ApiKeyEnv",
    "ApiKeyOptions",
    "AuthOptions",
    "BasicOptions",
    "CacheOptions",
    "ChangesOptions",
    "CloudflareEndpointsOptions",
    "CloudflareOptions",
    "CorsOptions",
    "Credential",
    "EndpointsOptions",
    "EnvOptions",
    "Environment",
    "JwksOptions",
    "JwtIssuer",
    "JwtOptions",
    "Layer",
    "LimitsOptions",
    "Logger",
    "Options",
    "OptionsDict",
    "RateLimitOptions",
    "Secret",
    "SentryOptions",
    "TokenRules",
    "UnreadVariable",
    "UserCredential",
    "V1Options",
    "check_text",
    "describe_options",
    "given_options",
    "is_async",
    "is_of_service",
    "layer_of_code",
    "layer_of_file",
    "layer_of_variables",
    "named_variables",
    "no_environment",
    "parse_layers",
    "parse_lines",
    "parse_options",
    "parse_scopes",
    "source_of",
    "text_of",
    "texts",
    "unread_variables",
    "variable_of",
    "variable_of_flag",
    "without_credentials",
]
