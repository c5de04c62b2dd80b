"""Find and open the store that a command is about: a file, a database, or a server."""

import functools
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import click
import msgspec
from click.core import ParameterSource

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE
from ..errors import NamespaceNotFound, OptionsError
from ..files import Files, is_missing
from ..namespaces import Namespaces, namespaces_of
from ..option_sources import layers_of
from ..options import (
    LimitsOptions,
    Options,
    Secret,
    check_text,
    parse_layers,
    text_of,
    unread_variables,
)
from ..runtime import DEFAULT_DATABASE, token_for
from ..storage import Migration, Retention, Storage
from ..storage.url import CLOUDFLARE_TOKEN, is_of_cloudflare, storage_from_url
from .config_file import config_option
from .ending import failure, run
from .flag import Flag, Text
from .log import hidden_records
from .profiles import Profile, origin_of, profiles_file, read_profiles

__all__ = [
    "OpenStore",
    "StoreChoice",
    "choose_store",
    "opened",
    "run",
    "store_at",
    "store_options",
    "store_options_with",
    "whole_store_options",
]

STORE: Final = "KV_STORE"
PROFILE: Final = "KV_PROFILE"
NAMESPACE: Final = "KV_NAMESPACE"
TOKEN: Final = "KV_TOKEN"  # noqa: S105  (the name of a variable)

_SERVERS: Final = ("http", "https")
_LIBSQL: Final = "libsql"
_WHOLE: Final = ("store", "profile", "database")
_LIMITS_ELSEWHERE: Final = LimitsOptions(value_bytes=sys.maxsize, key_bytes=sys.maxsize)

_LOG: Final = logging.getLogger("workertown_kv")


class StoreChoice(msgspec.Struct, frozen=True):
    """The store and the namespace that a command is about."""

    url: str
    """A path, the URL of a database, or the URL of a server."""
    token: Secret | None
    """The token for the origin of the URL."""
    named_namespace: str | None
    """The id or the title that a flag, a variable or the profile names."""
    options: Options
    """The options in force."""

    @property
    def namespace(self) -> str:
        """The id or the title of the namespace, which need not be named."""
        return self.named_namespace or DEFAULT_NAMESPACE

    @property
    def limits(self) -> LimitsOptions:
        """The limits of the store; a server checks its own, which may be higher."""
        is_server = self.url.partition("://")[0].lower() in _SERVERS
        return _LIMITS_ELSEWHERE if is_server else self.options.limits


class OpenStore(msgspec.Struct, frozen=True):
    """An open store."""

    storage: Storage
    namespaces: Namespaces
    namespace_id: str
    """The name by which operations refer to the namespace."""
    limits: LimitsOptions
    migrations: Sequence[Migration] = ()
    """The migrations that ran when the store was opened."""


_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option(
        "--store",
        cls=Flag,
        envvar=STORE,
        show_envvar=True,
        metavar="STORE",
        help="Path of an SQLite file, URL of a database, or URL of a server. By default, the "
        "database that `serve` would use.",
    ),
    click.option(
        "--profile",
        cls=Flag,
        envvar=PROFILE,
        show_envvar=True,
        metavar="NAME",
        help="Use the store, the token and the namespace that `login` has kept under this name.",
    ),
    click.option("--database", metavar="URL", help="The same as --store, as in `serve`."),
    config_option,
)


def store_options_with(*, namespace: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the flags that choose a store and a namespace to a command.

    The command gets the choice as `store`. The help of `--namespace` is `namespace`.
    """
    namespace_option: Callable[[Any], Any] = click.option(
        "--namespace",
        cls=Flag,
        type=Text(),
        envvar=NAMESPACE,
        show_envvar=True,
        metavar="ID_OR_TITLE",
        help=namespace,
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_store(**given: Any) -> Any:
            flags = {name: given.pop(name) for name in ("namespace", *_WHOLE)}
            return command(store=choose_store(**flags), **given)

        return _with_options(with_store, (_OPTIONS[0], namespace_option, *_OPTIONS[1:]))

    return decorate


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same flags to a command about the keys of a namespace."""
    of_keys = "Namespace of the keys; by default that of the profile, or `default`."
    return store_options_with(namespace=of_keys)(command)


def whole_store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that choose a store to a command that is about all of it.

    The command gets the choice as `store`, with the default namespace.
    """

    @functools.wraps(command)
    def with_store(**given: Any) -> Any:
        flags = {name: given.pop(name) for name in _WHOLE}
        return command(store=choose_store(namespace=None, **flags), **given)

    return _with_options(with_store, _OPTIONS)


def _with_options(
    command: Callable[..., Any], options: Sequence[Callable[[Any], Any]]
) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def choose_store(
    *, store: str | None, namespace: str | None, profile: str | None, database: str | None
) -> StoreChoice:
    """Return the store that the flags of the running command choose, or their variables.

    Flags win over variables, and variables over the file of `--config`.
    """
    given = {"store": store, "profile": profile, "database": database}
    chosen = _first_given(given)
    for name, text in (*given.items(), ("namespace", namespace)):
        if text == "":
            raise click.UsageError(f"--{name} is empty")
    try:
        options = _options()
        if chosen == "profile":
            found = _profile(profile or "")
            token = Secret(found.token) if found.token else None
            return StoreChoice(found.store, token, namespace or found.namespace or None, options)
        url = given[chosen] if chosen else None
        if url is None:
            url = text_of(os.environ, options.env.database) or database or DEFAULT_DATABASE
            token = token_for(url, options, os.environ)
            return StoreChoice(url, token, namespace, options)
        check_text(f"--{chosen}", url)
        return _choice(url, TOKEN, namespace, options)
    except OptionsError as error:
        raise failure(error) from error


def store_at(url: str, *, token_variable: str = TOKEN, namespace: str | None = None) -> StoreChoice:
    """Return the store with a URL or a path, and its token.

    The token of a server is that in the variable or, without it, that of a profile of the same
    origin.
    """
    if not url:
        raise click.UsageError("The store is empty; expected a path or a URL")
    try:
        check_text("The store", url)
        return _choice(url, token_variable, namespace, _options())
    except OptionsError as error:
        raise failure(error) from error


@asynccontextmanager
async def opened(
    choice: StoreChoice, *, may_create: bool = False, adds: bool = False
) -> AsyncIterator[OpenStore]:
    """Open the store and find its namespace.

    Raises `OptionsError` if that would create a database, unless `may_create`, and
    `NamespaceNotFound` if the new database would lack the namespace. Raises
    `StorageError` if it would create tables in an empty database, unless the command `adds`
    something to the store.
    """
    storage = storage_from_url(choice.url, token=choice.token)
    if not storage.shared:
        raise OptionsError(
            f"{choice.url} exists only inside the process of a server; expected a file, a "
            "database, or the URL of a server"
        )
    changes = choice.options.changes
    storage.may_create = may_create or adds
    storage.retention = None if changes is False else Retention(changes.seconds, changes.entries)
    is_new = storage.file is not None and is_missing(storage.file)
    if is_new and not may_create:
        raise OptionsError(
            f"There is no database {storage.file}; expected one that exists, or a server, named "
            f"by --store, --database, {STORE} or {choice.options.env.database}"
        )
    if is_new and choice.namespace not in (DEFAULT_ID, DEFAULT_NAMESPACE):
        raise NamespaceNotFound(choice.namespace)
    try:
        with hidden_records("requests fail until"):
            migrations = await storage.open()
        if is_new:
            click.echo(f"Created the database {storage.file}", err=True)
        namespaces = namespaces_of(storage, choice.options.cloudflare.accounts)
        namespace = await namespaces.named(choice.namespace)
        yield OpenStore(storage, namespaces, namespace.name, choice.limits, migrations)
    finally:
        await storage.close()


def _first_given(given: dict[str, str | None]) -> str | None:
    """Return the name of the flag that chooses the store; flags win over variables."""
    context = click.get_current_context()
    for source, form in (
        (ParameterSource.COMMANDLINE, "--{}"),
        (ParameterSource.ENVIRONMENT, "KV_{}"),
    ):
        named = [name for name in given if context.get_parameter_source(name) is source]
        if len(named) > 1:
            shown = [form.format(name if "-" in form else name.upper()) for name in named]
            raise click.UsageError(
                f"{' and '.join(shown)} exclude each other; expected only one of them"
            )
        if named:
            return named[0]
    return None


def _options() -> Options:
    options = parse_layers(layers_of(None, {}, Files()))
    for variable in unread_variables(options, for_commands=True):
        # A misspelt variable would be ignored, and the command might use another store.
        if variable.near is not None:
            raise OptionsError(variable.sentence)
        _LOG.warning("%s", variable.sentence)
    return options


def _profile(name: str) -> Profile:
    profiles = read_profiles()
    if name not in profiles:
        known = ", ".join(profiles) or "no profile; `workertown-kv login` makes them"
        raise OptionsError(f"There is no profile {name!r}; {profiles_file()} has {known}")
    return profiles[name]


def _choice(url: str, token_variable: str, namespace: str | None, options: Options) -> StoreChoice:
    token = None
    scheme = url.partition("://")[0].lower()
    if is_of_cloudflare(url):
        # KV_TOKEN is for servers; Cloudflare must not get it.
        named = None if token_variable == TOKEN else text_of(os.environ, token_variable)
        token = named or text_of(os.environ, CLOUDFLARE_TOKEN)
    elif scheme == _LIBSQL:
        token = text_of(os.environ, token_variable)
    elif scheme in _SERVERS:
        token = text_of(os.environ, token_variable)
        origin = origin_of(url)
        if token is None:
            same = (found for found in read_profiles().values() if origin_of(found.store) == origin)
            token = next((found.token for found in same if found.token), None)
    return StoreChoice(url, Secret(token) if token else None, namespace, options)
