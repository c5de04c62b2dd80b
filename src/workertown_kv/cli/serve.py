"""`workertown-kv serve`: the server on Granian."""

import asyncio
import gc
import os
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress

import click
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels

from ..options import ApiKeyEnv
from ..server import Server, kv
from .database import choose_database, database_option, one_line_errors

_KEY = ApiKeyEnv().api_key


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
    "--drain-seconds",
    envvar="KV_DRAIN_SECONDS",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    show_envvar=True,
    help="How long requests under way may take to finish when the server is told to stop.",
)
def serve(
    *, host: str, port: int, workers: int, database: str, access_log: bool, drain_seconds: int
) -> None:
    """Serve a key/value store until SIGTERM or SIGINT.

    Credentials come from the environment: KV_API_KEY, or KV_USERNAME and KV_PASSWORD. Without
    any, the server makes an API key for this run and prints it.
    """
    choose_database(database)
    os.environ[_ACCESS_LOG] = "1" if access_log else ""
    with one_line_errors():
        server = kv()
        made = None
        if not server.strategies:
            made = os.environ[_KEY] = secrets.token_urlsafe(24)
        asyncio.run(_try_out(server))
    if workers > 1 and not server.runtime.storage.shared:
        raise click.ClickException(
            f"{workers} workers would each have a {database} of their own; expected --workers 1"
        )
    _check_port(host, port)
    _greet(host, port, database, made)
    _run(host, port, workers, drain_seconds)


_ACCESS_LOG = "KV_SERVE_ACCESS_LOG"


def _load(_target: str) -> Server:
    """What each worker process serves."""
    # Ctrl-C reaches the workers too; the main process alone shall hear it, and tell them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threading.Thread(target=_stop_with, args=(os.getppid(),), daemon=True).start()
    server = kv(logger=_print_access if os.environ.get(_ACCESS_LOG) else False)
    # What is here now stays; looking through it for garbage again and again takes 10 ms each time.
    gc.collect()
    gc.freeze()
    return server


def _stop_with(parent: int) -> None:
    """Stop this worker where its parent has died without telling it to, as by `kill -9`.

    It would go on answering otherwise, and keep the port from the next server.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _print_access(method: str, path: str, status: int, elapsed: float) -> None:
    # Whoever read the log may have gone; that is no reason to stop answering.
    with suppress(OSError):
        print(f"{method} {path} {status} {elapsed * 1000:.2f}ms", flush=True)  # noqa: T201


def _run(host: str, port: int, workers: int, drain_seconds: int) -> None:
    server = Granian(
        "workertown_kv",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.auto,
        websockets=False,
        # Over cleartext HTTP/2 an answer that comes before the body has been read, as 401 and 413
        # do, is lost with the stream.
        http=HTTPModes.http1,
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        workers_kill_timeout=drain_seconds,
    )

    def stop(*_: object) -> None:
        # Granian's handler sets the event in the thread that waits for it, which may hold the
        # event's lock just then: a second signal right after the first would hang it for ever.
        if not server.interrupt_signal:
            server.interrupt_signal = True
            threading.Thread(target=server.main_loop_interrupt.set).start()

    server.signal_handler_interrupt = stop  # type: ignore[method-assign]
    try:
        server.serve(target_loader=_load)
    finally:
        for late in (signal.SIGINT, signal.SIGTERM):
            signal.signal(late, signal.SIG_IGN)


async def _try_out(server: Server) -> None:
    """Open the storage once, so that what is wrong with it is said here and not in a worker."""
    await server.runtime.storage.open()
    await server.runtime.storage.close()


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


def _greet(host: str, port: int, database: str, made: str | None) -> None:
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}"
    click.echo(f"workertown-kv listens on {url}, values are in {database}")
    if made is None:
        return
    click.echo(
        f"""
No credentials are configured, so this run has an API key of its own:

    {made}

Put a value and get it back:

    curl -X PUT {url}/v1/kv/hello -H 'Authorization: Bearer {made}' \\
        -H 'Content-Type: application/json' -d '{{"value": "world"}}'
    curl {url}/v1/kv/hello -H 'Authorization: Bearer {made}'

To set a key for good, start the server with {_KEY} in its environment:

    export {_KEY}={made}
"""
    )
