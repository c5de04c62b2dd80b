"""`workertown-kv serve`: the server on Granian."""

import asyncio
import os
import secrets
import socket
from typing import Any, get_args

import click
from click.core import ParameterSource

from ..files import Files
from ..options import without_credentials
from ..server import kv_from
from .database import choose_database, database_option, one_line_errors
from .greeting import KEY_VARIABLE, greet
from .log import LogFormat, LogLevel, set_up_log
from .workers import Flags, run, try_out


@click.command()
@click.option(
    "--host",
    envvar="KV_HOST",
    default="127.0.0.1",
    show_default=True,
    show_envvar=True,
    help="Address to listen on; 0.0.0.0 is all of this machine's.",
)
@click.option(
    "--port",
    envvar="KV_PORT",
    type=click.IntRange(1, 65535),
    default=8787,
    show_default=True,
    show_envvar=True,
    help="Port to listen on.",
)
@click.option(
    "--workers",
    envvar="KV_WORKERS",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    show_envvar=True,
    help="Processes that answer requests.",
)
@database_option
@click.option(
    "--access-log/--no-access-log",
    envvar="KV_ACCESS_LOG",
    default=True,
    show_default=True,
    show_envvar=True,
    help="Print a line for each request: METHOD path status ms.",
)
@click.option(
    "--log-format",
    envvar="KV_LOG_FORMAT",
    type=click.Choice(get_args(LogFormat)),
    default="text",
    show_default=True,
    show_envvar=True,
    help="What is printed: lines for people, or one JSON object a line.",
)
@click.option(
    "--log-level",
    envvar="KV_LOG_LEVEL",
    type=click.Choice(get_args(LogLevel)),
    default="warning",
    show_default=True,
    show_envvar=True,
    help="What is logged at least, beside requests; info says why a token was refused.",
)
@click.option(
    "--client-seconds",
    envvar="KV_CLIENT_SECONDS",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    show_envvar=True,
    help="How long a client may take to send header fields, and how long a body, which has a "
    "second more for each 16 KiB. A connection that is idle for so long is closed.",
)
@click.option(
    "--drain-seconds",
    envvar="KV_DRAIN_SECONDS",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    show_envvar=True,
    help="How long requests under way may take to finish when the server is told to stop.",
)
def serve(*, database: str, **flags: Any) -> None:
    """Serve a key/value store until SIGTERM or SIGINT.

    Credentials come from the environment: KV_API_KEY, KV_API_KEYS or KV_API_KEYS_FILE; KV_USERNAME
    with KV_PASSWORD, KV_USERS or KV_USERS_FILE; KV_JWT_SECRET, KV_JWKS_URL or KV_JWT_ISSUER.
    Without any, the server makes an API key for this run and prints it. On SIGHUP it reads the
    files with credentials and options again.
    """
    choose_database(database)
    shown = without_credentials(database)
    chosen = Flags(**flags, body_seconds=_chosen("client_seconds"))
    set_up_log(chosen.log_format, chosen.log_level)
    with one_line_errors():
        files = Files()
        server = kv_from(files)
        made = None
        if not server.strategies:
            made = os.environ[KEY_VARIABLE] = secrets.token_urlsafe(24)
        asyncio.run(try_out(server))
    if chosen.workers > 1 and not server.runtime.storage.shared:
        raise click.ClickException(
            f"{chosen.workers} workers would each have a {shown} of their own; expected --workers 1"
        )
    _check_port(chosen.host, chosen.port)
    greet(chosen.host, chosen.port, shown, made, chosen.log_format)
    run(chosen, files)


def _chosen(flag: str) -> Any:
    """What was given for a flag, `None` where that is its default."""
    context = click.get_current_context()
    is_default = context.get_parameter_source(flag) is ParameterSource.DEFAULT
    return None if is_default else context.params[flag]


def _check_port(host: str, port: int) -> None:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, name = address[0]
        with socket.socket(family, kind, protocol) as probe:
            # Workers share a port by SO_REUSEPORT; without it here, a port that somebody else
            # listens on is refused. SO_REUSEADDR lets one pass that was closed a moment ago.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {host}:{port}: {error.strerror}") from error
