"""The options: their types, defaults, deep merge, checks, and what the environment adds.

The tree of types is the tree of options, so the path in an error is the path in the code. Every
object is immutable. A strategy or a group of endpoints that may be turned off is `False` then.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from .errors import OptionsError


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


class ApiKeyOptions(_Options, frozen=True):
    """A key sent as `Authorization: Bearer …`."""

    api_key: Secret | None = None
    """The key itself; without it, the environment's."""
    env: ApiKeyEnv = ApiKeyEnv()


class BasicEnv(_Options, frozen=True):
    """The environment variables of Basic authentication."""

    username: str = "KV_USERNAME"
    password: str = "KV_PASSWORD"  # noqa: S105  (the name of a variable, not a password)


class BasicOptions(_Options, frozen=True):
    """A user name and password, as RFC 7617 sends them."""

    username: str | None = None
    password: Secret | None = None
    env: BasicEnv = BasicEnv()


class JwtEnv(_Options, frozen=True):
    """The environment variables of JWT authentication."""

    jwks_url: str = "KV_JWKS_URL"
    secret: str = "KV_JWT_SECRET"  # noqa: S105  (the name of a variable, not a secret)
    issuer: str = "KV_JWT_ISSUER"
    audience: str = "KV_JWT_AUDIENCE"


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
    kv: str | Literal[False] = "/v1/kv"


class EndpointsOptions(_Options, frozen=True):
    """Where the doors are, relative to `base_path`."""

    v1: V1Options = V1Options()
    public: str | Literal[False] = "/"


class EnvOptions(_Options, frozen=True):
    """The environment variables that the server itself reads."""

    database: str = "KV_DB"
    """Names the variable with a storage URL or the path of an SQLite file."""


class LimitsOptions(_Options, frozen=True):
    """How large things may be."""

    value_bytes: int = 25 * 1024 * 1024
    key_bytes: int = 2048
    batch_operations: int = 1000
    batch_bytes: int = 100 * 1024 * 1024
    """Of the body of a batch, and of the values that it returns."""


Environment = Mapping[str, str]
Logger = Callable[[str, str, int, float], None]
"""Called after each request with the method, the path as it was sent, the status, and seconds."""


def no_environment() -> Environment:
    """An environment in which nothing is set; `kv()` reads `os.environ` in its place."""
    return {}


class Options(_Options, frozen=True):
    """Everything about a server that can be chosen."""

    auth: AuthOptions = AuthOptions()
    base_path: str = "/"
    endpoints: EndpointsOptions = EndpointsOptions()
    env: EnvOptions = EnvOptions()
    limits: LimitsOptions = LimitsOptions()
    logger: Callable[[str, str, int, float], None] | Literal[False] = False
    runtime: Any = None
    """A `Runtime`, or a function `(options, env) -> Runtime`; `None` chooses by environment."""
    get_env: Callable[[], Mapping[str, str]] = no_environment

    def path(self, endpoint: str, name: str = "") -> str:
        """The whole path of something below an endpoint, such as `/base/v1/kv`."""
        parts = (self.base_path.strip("/"), endpoint.strip("/"), name.strip("/"))
        return "/" + "/".join(part for part in parts if part)

    def environment(self, variable: str) -> str | None:
        """What the environment says; a variable that is empty counts as not set."""
        return self.get_env().get(variable) or None


def parse_options(
    options: Mapping[str, object] | Options | None = None,
    named: Mapping[str, object] | None = None,
) -> Options:
    """The options in force: `named` over `options` over the defaults, merged deeply.

    Raises `OptionsError` for the first name, type or value that is wrong.
    """
    given = _plain(options) if isinstance(options, Options) else options or {}
    if not isinstance(given, Mapping):
        raise OptionsError(f"The options are {_shown(given)}; expected a mapping, or keywords")
    parsed = _parse(Options, _merged(given, named or {}), ())
    _check(parsed)
    return parsed


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


_T = TypeVar("_T", bound=msgspec.Struct)
_Path = tuple[str, ...]


def _plain(options: msgspec.Struct) -> dict[str, object]:
    """The options as nested mappings that can be merged and parsed again."""
    values = {name: getattr(options, name) for name in options.__struct_fields__}
    return {
        name: _plain(value) if isinstance(value, msgspec.Struct) else value
        for name, value in values.items()
    }


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            merged[name] = _merged(under, value)
        else:
            merged[name] = value
    return merged


def _parse(kind: type[_T], given: Mapping[str, object], path: _Path) -> _T:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in given:
        if name not in fields:
            raise OptionsError(_unknown(name, tuple(fields), path))
    return kind(
        **{name: _value(fields[name].type, value, (*path, name)) for name, value in given.items()}
    )


def _value(kind: Any, given: object, path: _Path) -> object:
    """What an option of this type becomes from what was given for it."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for one in kinds:
        if one is Any or one is bool:
            return given
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            if isinstance(given, Mapping):
                return _parse(one, given, path)
            if given is True:
                return one()
        elif one is Secret and isinstance(given, str):
            return Secret(given)
        elif get_origin(one) is Literal:
            if given is False:
                return given
        elif get_origin(one) is Callable:
            if callable(given):
                return given
        elif isinstance(given, one) and not (one is int and isinstance(given, bool)):
            return given
    accepted = " or ".join(_NAMES.get(one) or _named(one) for one in kinds)
    shown = type(given).__name__ if Secret in kinds else _shown(given)
    raise OptionsError(f"{'.'.join(path)} is {shown}; expected {accepted}")


_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    Secret: "text",
    NoneType: "None",
    Literal[False]: "False",
}


def _named(kind: Any) -> str:
    if get_origin(kind) is Callable:
        return "a function"
    return f"a mapping with {', '.join(kind.__struct_fields__)}"


def _shown(given: object) -> str:
    shown = repr(given)
    return f"{shown if len(shown) < 60 else shown[:60] + '…'} ({type(given).__name__})"


def _unknown(name: str, siblings: tuple[str, ...], path: _Path) -> str:
    snake_case = re.sub("(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()
    near = [(*path, sibling) for sibling in difflib.get_close_matches(snake_case, siblings, n=1)]
    near += [known for known in _all_paths(Options) if known[-1] == snake_case]
    hint = f"; did you mean {'.'.join(near[0])}?" if near else "."
    return (
        f"There is no option {'.'.join((*path, str(name)))}{hint} "
        f"Accepted here: {', '.join(siblings)}"
    )


def _all_paths(kind: type[msgspec.Struct], path: _Path = ()) -> Iterator[_Path]:
    for field in msgspec.structs.fields(kind):
        here = (*path, field.name)
        yield here
        for one in (field.type, *get_args(field.type)):
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                yield from _all_paths(one, here)


def _check(options: Options) -> None:
    endpoints = options.endpoints
    for name, path in (
        ("base_path", options.base_path),
        ("endpoints.v1.admin", endpoints.v1.admin),
        ("endpoints.v1.kv", endpoints.v1.kv),
        ("endpoints.public", endpoints.public),
    ):
        if path is not False and not path.startswith("/"):
            raise OptionsError(f"{name} is {path!r}; expected a path that starts with '/'")
        if path is not False and any(mark in path for mark in "?#{}%"):
            raise OptionsError(f"{name} is {path!r}; expected a path without ? # % {{ }}")
    if endpoints.v1.kv is not False:
        values = options.path(endpoints.v1.kv).rstrip("/") + "/"
        for name, path in (
            ("endpoints.v1.admin", endpoints.v1.admin),
            ("endpoints.public", endpoints.public),
        ):
            if path is not False and (options.path(path).rstrip("/") + "/").startswith(values):
                raise OptionsError(
                    f"{name} is {path!r}, which lies among the keys below endpoints.v1.kv "
                    f"({endpoints.v1.kv!r}); expected paths that do not cover each other"
                )
    for limit in options.limits.__struct_fields__:
        size = getattr(options.limits, limit)
        if size < 1:
            raise OptionsError(f"limits.{limit} is {size}; expected a whole number of at least 1")
