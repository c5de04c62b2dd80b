"""Define `workertown-kv serve`, which runs the server with uvicorn's protocol."""

import asyncio
import os
import secrets
from collections.abc import Callable
from typing import Any, get_args

import click
from click.core import ParameterSource

from ..files import Files
from ..options import variable_of_flag, without_credentials
from .database import (
    choose_database,
    configured_server,
    database_option,
    made_by_opening,
)
from .ending import one_line_errors
from .flag import Flag, WholeNumber
from .greeting import KEY_VARIABLE, greet
from .listening import Sockets, close, listen, listen_at, tls_context
from .log import LogFormat, LogLevel, set_up_log
from .worker import Flags
from .workers import Workers, try_out


def _flag(declared: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return a flag that its variable can also set."""
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
    help="Address or name to listen on, such as localhost; 0.0.0.0 is all addresses of this "
    "machine.",
)
@_flag(
    "--port",
    type=WholeNumber(1, 65535),
    default=8787,
    help="Port to listen on.",
)
@_flag(
    "--uds",
    metavar="PATH",
    help="Path of a Unix domain socket to listen on, instead of a port. The owner and the group "
    "may connect.",
)
@_flag(
    "--tls-cert",
    metavar="FILE",
    help="Certificate for HTTPS, followed by the intermediate certificates, in PEM form.",
)
@_flag(
    "--tls-key",
    metavar="FILE",
    help="Private key of the certificate; by default in the same file.",
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
    help="Print a line for each request: its method, path, status, duration, client, user, "
    "sizes and id.",
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
    Without any of these, and without API keys in the database, the server creates an API key for
    this run and prints it.

    KV_METRICS_TOKEN holds a token that opens only /metrics, and KV_AUDIT the path of an audit log.
    Send SIGHUP to reload the files with credentials, options and the certificate, and to open the
    file of the audit log again.
    """
    _check_combination()
    choose_database(database)
    chosen = Flags(**flags, body_seconds=_chosen("client_seconds"))
    set_up_log(chosen.log_format, chosen.log_level)
    with one_line_errors():
        files = Files()
        server = configured_server(files)
        shown = str(server.runtime.storage.file or without_credentials(database))
        is_new = made_by_opening(server)
        tls = tls_context(chosen.tls_cert, chosen.tls_key) if chosen.tls_cert else None
    if chosen.workers > 1 and not server.runtime.storage.shared:
        raise click.ClickException(
            f"{chosen.workers} workers would each have their own {shown}; expected --workers 1"
        )
    # Before the storage is opened, so that a command that cannot listen makes no database.
    sockets = _sockets(chosen)
    try:
        with one_line_errors():
            has_stored_keys = asyncio.run(try_out(server))
    except BaseException:
        close(sockets, chosen.uds)
        raise
    made = None
    if not server.strategies and not has_stored_keys:
        made = os.environ[KEY_VARIABLE] = secrets.token_urlsafe(24)
    url = _url(chosen)
    # Browsers do not open Unix domain sockets.
    has_console = server.console is not None and chosen.uds is None
    console = f"{url}{server.console}/" if has_console else None
    greet(url, shown, made, chosen.log_format, uds=chosen.uds, console=console, is_new=is_new)
    Workers(chosen, files, sockets, tls).run()


def _sockets(flags: Flags) -> Sockets:
    if flags.uds is None:
        return listen(flags.host, flags.port, flags.workers)
    return listen_at(flags.uds, flags.workers)


def _url(flags: Flags) -> str:
    """Return the URL of the server; over a Unix domain socket, any host leads to it."""
    scheme = "http" if flags.tls_cert is None else "https"
    if flags.uds is not None:
        return f"{scheme}://localhost"
    host = f"[{flags.host}]" if ":" in flags.host else flags.host
    return f"{scheme}://{host}:{flags.port}"


def _check_combination() -> None:
    """Refuse flags that contradict each other, and a flag without another that it needs."""
    context = click.get_current_context()
    for flag in ("host", "port"):
        is_given = context.get_parameter_source(flag) is ParameterSource.COMMANDLINE
        if is_given and context.params["uds"] is not None:
            raise click.UsageError(
                f"--uds and --{flag} exclude each other; expected only one of them"
            )
    for flag, what in (("tls_cert", "certificate"), ("tls_key", "key")):
        if context.params[flag] == "":
            name = flag.replace("_", "-")
            raise click.UsageError(f"--{name} is empty; expected the path of a {what}")
    if context.params["tls_key"] is not None and context.params["tls_cert"] is None:
        raise click.UsageError("--tls-key is given without --tls-cert; expected both")


def _chosen(flag: str) -> Any:
    """Return the chosen value of a flag, or `None` if the flag has its default."""
    context = click.get_current_context()
    is_default = context.get_parameter_source(flag) is ParameterSource.DEFAULT
    return None if is_default else context.params[flag]
