"""The options: their types and defaults.

The tree of types is the tree of options, so the path in an error is the path in the code. Every
object is immutable. A strategy or a group of endpoints that may be turned off is `False` then.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import msgspec


class Secret:
    """Text that no log, `repr` or message ever shows. `reveal()` is the one way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    __hash__ = None  # type: ignore[assignment]  # a secret has no business in a set or a log key


class _Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ApiKeyEnv(_Options, frozen=True):
    """The environment variables of the API key."""

    api_key: str = "KV_API_KEY"
    """The variable that holds the API key."""


class ApiKeyOptions(_Options, frozen=True):
    """A key sent as `Authorization: Bearer …`."""

    api_key: Secret | None = None
    """The key itself; without it, the environment's."""
    env: ApiKeyEnv = ApiKeyEnv()


class BasicEnv(_Options, frozen=True):
    """The environment variables of Basic authentication."""

    username: str = "KV_USERNAME"
    """The variable that holds the user name."""
    password: str = "KV_PASSWORD"  # noqa: S105  (the name of a variable, not a password)
    """The variable that holds the password."""


class BasicOptions(_Options, frozen=True):
    """A user name and password, as RFC 7617 sends them."""

    username: str | None = None
    """The user name itself; without it, the environment's."""
    password: Secret | None = None
    """The password itself; without it, the environment's."""
    env: BasicEnv = BasicEnv()


class JwtEnv(_Options, frozen=True):
    """The environment variables of JWT authentication."""

    jwks_url: str = "KV_JWKS_URL"
    """The variable that is to hold the URL of a key set."""
    secret: str = "KV_JWT_SECRET"  # noqa: S105  (the name of a variable, not a secret)
    """The variable that is to hold a shared secret."""
    issuer: str = "KV_JWT_ISSUER"
    """The variable that is to hold the issuer."""
    audience: str = "KV_JWT_AUDIENCE"
    """The variable that is to hold the audience."""


class JwtOptions(_Options, frozen=True):
    """JSON Web Tokens. Accepted for what is to come: no server of this version admits one."""

    env: JwtEnv = JwtEnv()


class AuthOptions(_Options, frozen=True):
    """Who gets in. A strategy without credentials admits nobody; `False` turns one off."""

    api_key: ApiKeyOptions | Literal[False] = ApiKeyOptions()
    basic: BasicOptions | Literal[False] = BasicOptions()
    jwt: JwtOptions | Literal[False] = JwtOptions()


class V1Options(_Options, frozen=True):
    """Where the endpoints of version 1 are; `False` turns a group off."""

    admin: str | Literal[False] = "/admin"
    """The admin endpoints."""
    kv: str | Literal[False] = "/v1/kv"
    """Values, keys and batches."""


class EndpointsOptions(_Options, frozen=True):
    """Where the doors are, relative to `base_path`."""

    v1: V1Options = V1Options()
    public: str | Literal[False] = "/"
    """`health` and `open-api.json`, which need no credentials."""


class EnvOptions(_Options, frozen=True):
    """The environment variables that the server itself reads."""

    database: str = "KV_DB"
    """Names the variable with a storage URL or the path of an SQLite file."""


class LimitsOptions(_Options, frozen=True):
    """How large things may be."""

    value_bytes: int = 25 * 1024 * 1024
    """The largest value; more is 413."""
    key_bytes: int = 2048
    """The longest key, in UTF-8; more is 414."""
    batch_operations: int = 1000
    """The most operations in a batch; more is 400."""
    batch_bytes: int = 100 * 1024 * 1024
    """Of the body of a batch, and of the values that it returns."""


Environment = Mapping[str, str]
Logger = Callable[[str, str, int, float], None]
"""Called after each request with the method, the path as sent, the status, and seconds."""


def no_environment() -> Environment:
    """An environment in which nothing is set; `kv()` reads `os.environ` in its place."""
    return {}


class Options(_Options, frozen=True):
    """Everything about a server that can be chosen."""

    auth: AuthOptions = AuthOptions()
    base_path: str = "/"
    """What every path begins with."""
    endpoints: EndpointsOptions = EndpointsOptions()
    env: EnvOptions = EnvOptions()
    limits: LimitsOptions = LimitsOptions()
    logger: Callable[[str, str, int, float], None] | Literal[False] = False
    """Called after each request with the method, the path as sent, the status, and seconds."""
    runtime: Any = None
    """A `Runtime`, or a function `(options, env) -> Runtime`; `None` chooses by environment."""
    get_env: Callable[[], Mapping[str, str]] = no_environment
    """Returns the environment to read from; without it, that of the process."""

    def path(self, endpoint: str, name: str = "") -> str:
        """The whole path of something below an endpoint, such as `/base/v1/kv`."""
        parts = (self.base_path.strip("/"), endpoint.strip("/"), name.strip("/"))
        return "/" + "/".join(part for part in parts if part)

    def environment(self, variable: str) -> str | None:
        """What the environment says; a variable that is empty counts as not set."""
        return self.get_env().get(variable) or None


def describe_options(options: msgspec.Struct) -> dict[str, object]:
    """The options as plain data, secrets left out and callables by their names."""
    described: dict[str, object] = {}
    for field in msgspec.structs.fields(options):
        value = getattr(options, field.name)
        if Secret in get_args(field.type):
            continue
        if isinstance(value, msgspec.Struct):
            described[field.name] = describe_options(value)
        elif value is None or isinstance(value, str | int):
            described[field.name] = value
        else:
            described[field.name] = getattr(value, "__qualname__", type(value).__qualname__)
    return described
