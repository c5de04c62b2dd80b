"""`workertown-kv serve`: the server on Granian."""

import asyncio
import errno
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import click
from click.core import ParameterSource

from ..files import Files
from ..options import variable_of_flag, without_credentials
from .database import (
    choose_database,
    configured_server,
    database_option,
    made_by_opening,
    one_line_errors,
)
from .flag import Flag, WholeNumber
from .greeting import KEY_VARIABLE, greet
from .log import LogFormat, LogLevel, set_up_log
from .workers import Flags, run, try_out


def _flag(declared: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return a flag that can also be set by its variable."""
    name = declared.partition("/")[0].removeprefix("--")
    return click.option(
        declared,
        cls=Flag,
        envvar=variable_of_flag(name),
        show_envvar=True,
        show_default=True,
        **attributes,
    )


@click.command()
@_flag(
    "--host",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0 is all addresses of this machine.",
)
@_flag(
    "--port",
    type=WholeNumber(1, 65535),
    default=8787,
    help="Port to listen on.",
)
@_flag(
    "--workers",
    type=WholeNumber(min=1),
    default=1,
    help="Number of processes that answer requests.",
)
@database_option
@_flag(
    "--access-log/--no-access-log",
    default=True,
    help="Print a line for each request: METHOD path status ms.",
)
@_flag(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    default="text",
    help="Format of the output: text for people, or one JSON object per line.",
)
@_flag(
    "--log-level",
    type=click.Choice(get_args(LogLevel)),
    default="warning",
    help="Lowest level that is logged, besides requests; info says why a token was refused.",
)
@_flag(
    "--client-seconds",
    type=WholeNumber(min=1),
    default=30,
    help="How long a client may take to send the header fields, and how long to send the body, "
    "plus one second for each 16 KiB. A connection that is idle for this long is closed.",
)
@_flag(
    "--drain-seconds",
    type=WholeNumber(min=1),
    default=30,
    help="How long running requests may take to finish when the server stops.",
)
def serve(*, database: str, **flags: Any) -> None:
    """Serve a key/value store until SIGTERM or SIGINT.

    Credentials come from the environment: KV_API_KEY, KV_API_KEYS or KV_API_KEYS_FILE; KV_USERNAME
    with KV_PASSWORD, KV_USERS or KV_USERS_FILE; KV_JWT_SECRET, KV_JWKS_URL or KV_JWT_ISSUER.
    Without any, the server creates an API key for this run and prints it. Send SIGHUP to reload
    the files with credentials and options.
    """
    choose_database(database)
    chosen = Flags(**flags, body_seconds=_chosen("client_seconds"))
    set_up_log(chosen.log_format, chosen.log_level)
    with one_line_errors():
        files = Files()
        server = configured_server(files)
        shown = str(server.runtime.storage.file or without_credentials(database))
        is_new = made_by_opening(server)
        made = None
        if not server.strategies:
            made = os.environ[KEY_VARIABLE] = secrets.token_urlsafe(24)
        asyncio.run(try_out(server))
    if chosen.workers > 1 and not server.runtime.storage.shared:
        raise click.ClickException(
            f"{chosen.workers} workers would each have their own {shown}; expected --workers 1"
        )
    _check_port(chosen.host, chosen.port)
    greet(chosen.host, chosen.port, shown, made, chosen.log_format, is_new=is_new)
    run(chosen, files)


def _chosen(flag: str) -> Any:
    """Return the chosen value of a flag, or `None` where the flag has its default."""
    context = click.get_current_context()
    is_default = context.get_parameter_source(flag) is ParameterSource.DEFAULT
    return None if is_default else context.params[flag]


def _check_port(host: str, port: int) -> None:
    if not host:
        raise click.UsageError("--host is empty; expected an address, such as 127.0.0.1")
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, name = address[0]
        with socket.socket(family, kind, protocol) as probe:
            # Workers share a port by SO_REUSEPORT; this probe does not set it, so that a port on
            # which another program listens is refused. SO_REUSEADDR permits a port that was
            # closed a moment ago.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    except (OSError, UnicodeError) as error:
        # A host name that Python cannot encode raises UnicodeError, which has no `strerror`.
        reason = error.strerror if isinstance(error, OSError) else "no host has such a name"
        number = error.errno if isinstance(error, OSError) else None
        expected = _EXPECTED_PORTS.get(number, _EXPECTED_HOST)
        raise click.ClickException(
            f"Cannot listen on {host}:{port}: {reason}; expected {expected}"
        ) from error


_EXPECTED_HOST: Final = (
    "--host to be a single name or address of this machine, such as 127.0.0.1, or 0.0.0.0 for "
    "all of them"
)
_EXPECTED_PORTS: Final[Mapping[int | None, str]] = {
    errno.EADDRINUSE: "--port to be a port on which no program listens",
    errno.EACCES: "--port to be a port that this user may use, from 1024 on",
}
