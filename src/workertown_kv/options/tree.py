"""Define the options: their types and defaults. Other modules have those of `auth` and `access`.

The tree of types is the tree of options, so the path in an error is the path in the code. Every
object is immutable. `False` turns off a strategy or a group of endpoints.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import msgspec

from .access import AccessOptions, CorsOptions, SentryOptions
from .audit import AuditOptions
from .auth import AuthOptions, check_bearer
from .environment import text_of
from .group import NO_SECRET, Group, Secret, SecretOption, without_credentials
from .limits import LimitsOptions


def check_paths(**paths: str | Literal[False]) -> None:
    """Refuse paths that are not absolute, or that requests could not have."""
    for name, path in paths.items():
        if path is False:
            continue
        if not path.startswith("/"):
            raise ValueError(f"{name} is {path!r}; expected a path that starts with '/'")
        if any(mark in path for mark in "?#{}%"):
            raise ValueError(f"{name} is {path!r}; expected a path without ? # % {{ }}")


class V1Options(Group, frozen=True):
    """The paths of the native API, version 1; `False` turns a group off."""

    admin: str | Literal[False] = "/admin"
    """The admin endpoints."""
    kv: str | Literal[False] = "/v1/kv"
    """Values, keys and batches."""
    changes: str | Literal[False] = "/v1/changes"
    """The feed of changes, if the option `changes` is on and the storage records them. There is
    none if another API has the default path, as values at `/` have."""
    whoami: str | Literal[False] = "/v1/whoami"
    """Who sends a request, and what that user may do. Left out if another API has the default
    path."""

    def check(self) -> None:
        check_paths(admin=self.admin, kv=self.kv, changes=self.changes, whoami=self.whoami)


class CloudflareEndpointsOptions(Group, frozen=True):
    """The paths of Cloudflare's APIs; `False` turns an API off."""

    rest: str | Literal[False] = "/client/v4"
    """Cloudflare's REST API, for its SDKs and `wrangler`."""
    binding: str | Literal[False] = "/workerd"
    """The workerd binding, for `env.KV`. A header field marks its requests, at any path."""

    def check(self) -> None:
        check_paths(rest=self.rest, binding=self.binding)


class EndpointsOptions(Group, frozen=True):
    """The paths of the APIs, relative to `base_path`."""

    v1: V1Options = V1Options()
    cloudflare: CloudflareEndpointsOptions = CloudflareEndpointsOptions()
    public: str | Literal[False] = "/"
    """Endpoints without credentials: `health`, `health/live`, `health/ready`, `open-api.json`."""
    console: str | Literal[False] = "/console"
    """The console, pages for browsers. There is none if another API has the default path, or if
    `endpoints.v1.kv` or `endpoints.v1.whoami` is `False`."""
    docs: str | Literal[False] = "/docs"
    """The API pages, which show the OpenAPI document and send requests. There are none if another
    API has the default path, or if `endpoints.public` is `False`."""

    metrics: str | Literal[False] = "/metrics"
    """The metrics, for Prometheus; with the metrics token or the verb `admin`. There are none at
    the default path if another API, or a route of the operator's own, has it; `False` also stops
    the counting."""

    def check(self) -> None:
        check_paths(public=self.public, console=self.console, docs=self.docs, metrics=self.metrics)


class EnvOptions(Group, frozen=True):
    """The environment variables that the server itself reads."""

    database: str = "KV_DB"
    """The variable that holds a storage URL or the path of an SQLite file; in a Cloudflare Worker,
    the binding of a KV namespace or a D1 database."""
    database_token: str = "KV_DB_TOKEN"  # noqa: S105  (the name of a variable)
    """The variable that holds the token for a storage that takes it beside its URL, as another
    server does."""


class CacheOptions(Group, frozen=True):
    """A read cache in this process; a value from it may be as stale as `ttl`."""

    ttl: int = 60
    """The seconds for which a value is kept, even if another process writes the key meanwhile."""
    follow: bool = False
    """Whether the cache follows the changes of the storage: it drops a value as soon as another
    process writes the key, and keeps values for longer than `ttl` while it hears of changes."""
    entries: int = 10_000
    """The most values that are kept; the least recently used go first."""
    bytes: int = 64 * 1024 * 1024
    """The most bytes of memory that the kept values take, approximately."""

    def check(self) -> None:
        self.check_at_least(1, "ttl", "entries", "bytes")


class ChangesOptions(Group, frozen=True):
    """The feed of changes. A change is kept until the first of these limits is reached."""

    seconds: int = 3600
    """The seconds for which a change is kept, so that a reader can resume after it."""
    entries: int = 100_000
    """The most changes that are kept."""
    streams: int = 1000
    """The most streams of server-sent events that a process has at once; more get 503."""

    def check(self) -> None:
        self.check_at_least(1, *self.__struct_fields__)


class MetricsEnv(Group, frozen=True):
    """The environment variables of the metrics."""

    token: str = "KV_METRICS_TOKEN"  # noqa: S105  (the name of a variable)
    """The variable that holds the metrics token."""


class MetricsOptions(Group, frozen=True):
    """Who may read the metrics, besides users with the verb `admin`."""

    token: SecretOption = NO_SECRET
    """The metrics token, sent as `Authorization: Bearer …`, which opens nothing else; by default,
    it comes from the environment."""
    env: MetricsEnv = MetricsEnv()

    def check(self) -> None:
        check_bearer("token", self.token)


class CloudflareOptions(Group, frozen=True):
    """How Cloudflare's APIs behave."""

    relaxed: bool = False
    """Lifts Cloudflare's limits: lifetimes from 1 s, keys of `limits.key_bytes`, any page size."""
    accounts: tuple[str, ...] = ()
    """The accepted account ids, each with its own namespaces. If empty, any id is accepted, and all
    ids share the namespaces."""

    def check(self) -> None:
        for account in self.accounts:
            if not account or "/" in account:
                raise ValueError(f"accounts has {account!r}; expected account ids without '/'")
        if len(set(self.accounts)) < len(self.accounts):
            raise ValueError("accounts has an account twice; expected each once")


Environment = Mapping[str, str]
Logger = Callable[..., None]
"""Called after each request with the method, the path as sent, the status, and seconds."""


def no_environment() -> Environment:
    """Return an environment without variables; `kv()` reads `os.environ` instead."""
    return {}


class Options(Group, frozen=True):
    """All options of a server."""

    auth: AuthOptions = AuthOptions()
    base_path: str = "/"
    """The prefix of every path."""
    endpoints: EndpointsOptions = EndpointsOptions()
    env: EnvOptions = EnvOptions()
    limits: LimitsOptions = LimitsOptions()
    cache: CacheOptions | Literal[False] = False
    changes: ChangesOptions | Literal[False] = ChangesOptions()
    """The feed of changes; `False` records none."""
    metrics: MetricsOptions = MetricsOptions()
    cloudflare: CloudflareOptions = CloudflareOptions()
    access: AccessOptions = AccessOptions()
    cors: CorsOptions | Literal[False] = False
    sentry: SentryOptions | Literal[False] = SentryOptions()
    audit: AuditOptions | Literal[False] = AuditOptions()
    opentelemetry: bool = False
    """Whether traces and metrics of requests go to a collector of OpenTelemetry; the variables of
    OpenTelemetry (`OTEL_…`) say where it is."""
    logger: Callable[..., None] | Literal[False] = False
    """Called after each request with the method, the path as sent (1,024 bytes of it at most), the
    status, and seconds; if it has a parameter `request`, also with a `LoggedRequest`."""
    runtime: Any = None
    """A `Runtime`, its name, or a function `(options, env) -> Runtime`; `None` chooses one."""
    get_env: Callable[[], Mapping[str, str]] = no_environment
    """Returns the environment to read variables from; the default is that of the process."""

    def check(self) -> None:
        check_paths(base_path=self.base_path)
        self.check_not_async("logger", "runtime", "get_env")

    def path(self, endpoint: str, name: str = "") -> str:
        """Return the whole path of an endpoint, such as `/base/v1/kv`, or of a name below it."""
        parts = (self.base_path.strip("/"), endpoint.strip("/"), name.strip("/"))
        return "/" + "/".join(part for part in parts if part)

    def environment(self, variable: str, *, lines: bool = False) -> str | None:
        """Return the text of a variable; an empty variable counts as not set.

        `lines` permits several lines. Raises `OptionsError` for text that nobody types on purpose,
        such as text with a line feed at its end.
        """
        return text_of(self.get_env(), variable, lines=lines)

    def secret(self, variable: str) -> Secret | None:
        """Return the secret in a variable, `None` if the variable is not set."""
        text = self.environment(variable)
        return Secret(text) if text else None


def describe_options(options: msgspec.Struct) -> dict[str, object]:
    """Return the options as plain data, without secrets, and with the names of functions."""
    return {
        field.name: _described(getattr(options, field.name))
        for field in msgspec.structs.fields(options)
        if Secret not in get_args(field.type)
    }


def _described(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return describe_options(value)
    if isinstance(value, tuple):
        return [_described(item) for item in value]
    if isinstance(value, str):
        # It may be a URL with a password, by mistake.
        return without_credentials(value)
    if value is None or isinstance(value, int | float):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)
