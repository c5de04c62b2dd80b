"""Runs the processes that answer requests, with Granian."""

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import msgspec
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from ..errors import KvError, StorageUnavailable
from ..files import Files
from ..server import Server
from ..server.making import kv_from
from .greeting import print_reloaded
from .log import JSON_LOGGING, LogFormat, LogLevel, access_logger, set_up_log

_LOG: Final = logging.getLogger("workertown_kv")
PROBE_SECONDS: Final = 10.0
"""How long the start waits to learn whether entries can be written."""

_HEARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS: Final = 3
_TURNS: Final = 100
"""Turns of the event loop after which it runs for requests."""


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The flags that the processes need; the server reads the rest from the environment."""

    host: str
    port: int
    workers: int
    access_log: bool
    log_format: LogFormat
    log_level: LogLevel
    client_seconds: int
    drain_seconds: int
    body_seconds: int | None
    """`client_seconds` if it was chosen; it then wins over the option `limits.body_seconds`."""


class Accepted:
    """Holds the files that the main process has accepted, for workers that start now or later."""

    def __init__(self, files: Files) -> None:
        self.files = files


def run(flags: Flags, files: Files) -> None:
    """Serve until SIGTERM or SIGINT, from these files until SIGHUP reloads them."""
    server = Granian(
        "workertown_kv",
        address=flags.host,
        port=flags.port,
        interface=Interfaces.ASGI,
        workers=flags.workers,
        loop=Loops.auto,
        websockets=False,
        # Over cleartext HTTP/2, a response that is sent before the body has been read, such as 401
        # or 413, is lost with the stream.
        http=HTTPModes.http1,
        # max_buffer_size keeps its default, 408 KiB. It bounds the header fields, but bodies are
        # read in pieces of that size too; with 64 KiB, a PUT of 25 MiB takes twice as long.
        http1_settings=HTTP1Settings(header_read_timeout=flags.client_seconds * 1000),
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        log_dictconfig=JSON_LOGGING if flags.log_format == "json" else None,
        workers_kill_timeout=flags.drain_seconds,
    )

    # A handler would run between any two steps of the main thread, which may hold a lock that the
    # handler needs. A new worker may lose a signal that comes before it has its own handlers.
    # A blocked signal waits instead for the thread that hears it: _hear here, _drain in a worker.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    accepted = Accepted(files)
    reload = partial(_reload, accepted, server.signal_handler_reload, threading.Lock(), flags)
    hearing = (server.signal_handler_interrupt, reload)
    threading.Thread(target=_hear, args=hearing, daemon=True).start()
    # When a worker starts, Granian forks it, or pickles this function for it. Either way the
    # worker gets the files that are accepted at that time.
    server.serve(target_loader=partial(_load, flags, accepted), wrap_loader=False)


def _hear(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    """Call `reload` in a thread of its own on each SIGHUP, and `stop` on another signal."""
    while signal.sigwait(_HEARD) == signal.SIGHUP:
        threading.Thread(target=reload).start()
    # Repeated, since a main thread that is just replacing a worker loses the request to stop.
    while True:
        stop()
        time.sleep(0.1)


async def try_out(server: Server) -> None:
    """Open the storage once, to report its errors before any worker starts.

    Raises errors that last until the operator changes something. Failures that may pass are only
    logged; meanwhile requests get 503.
    """
    storage = server.runtime.storage
    await storage.open()
    try:
        await server.lifecycle.warn()
        async with asyncio.timeout(PROBE_SECONDS):
            await storage.probe()
    except StorageUnavailable as error:
        _LOG.warning("The storage cannot be used yet (%s): %s", error.kind, error.message)
    except TimeoutError:
        _LOG.warning("The storage cannot be used yet: no answer within %g s", PROBE_SECONDS)
    finally:
        await storage.close()


def _reload(
    accepted: Accepted, replace_workers: Callable[[], None], lock: threading.Lock, flags: Flags
) -> None:
    """Reload the files and, if a server can be made from them, replace the workers."""
    # One reload after the other, so that the last signal wins.
    with lock:
        files = Files()
        try:
            server = kv_from(files)
            asyncio.run(try_out(server))
        except KvError as error:
            _LOG.error("Not reloaded: %s", error.message)
        except Exception:  # noqa: BLE001  (whatever it is, the workers go on)
            _LOG.exception("Not reloaded")
        else:
            accepted.files = files
            print_reloaded([one.summary for one in server.strategies], flags.log_format)
            replace_workers()


def _load(flags: Flags, accepted: Accepted) -> Server:
    """Return the server of a worker process."""
    # Ctrl-C and SIGHUP reach the workers too, and stay blocked: only the main process hears them.
    serving: list[asyncio.AbstractEventLoop] = []
    threading.Thread(target=_drain, args=(serving,), daemon=True).start()
    threading.Thread(target=_stop_with, args=(os.getppid(),), daemon=True).start()
    set_up_log(flags.log_format, flags.log_level)
    try:
        server = server_of_worker(flags, accepted.files)
    except Exception:  # noqa: BLE001  (whatever it is, the process ends)
        # Otherwise the process would print the traceback itself, ignoring the format of the log.
        _LOG.critical("A worker could not start", exc_info=True)
        raise SystemExit(1) from None
    server.lifecycle.warns = False  # the main process has logged it
    server.router.lifespan_context = partial(_lifespan, serving)
    # All objects that exist now stay; each search for garbage among them would take 10 ms.
    gc.collect()
    gc.freeze()
    return server


def server_of_worker(flags: Flags, files: Files) -> Server:
    """Return the server of a worker; on an error, try again until it can be made.

    The main process has made the same server, so something has changed since, such as a
    certificate of the database. If this worker ended, Granian would end all others too.
    """
    chosen = flags.body_seconds
    while True:
        try:
            return kv_from(
                files,
                logger=access_logger(flags.log_format) if flags.access_log else False,
                limits={} if chosen is None else {"body_seconds": chosen},
            )
        except KvError as error:
            _LOG.error("A worker cannot start, and will try again: %s", error.message)
            time.sleep(_AGAIN_SECONDS)


@asynccontextmanager
async def _lifespan(
    serving: list[asyncio.AbstractEventLoop], server: Server
) -> AsyncIterator[None]:
    """Serve even without the storage: each request opens it then, or is answered why it cannot.

    The main process has opened the storage, so something has changed since. If this worker ended,
    Granian would end all others too.
    """
    try:
        await server.open()
    except KvError as error:
        _LOG.error("A worker cannot open the storage, and will try again: %s", error.message)
    serving.append(asyncio.get_running_loop())
    yield
    await server.close()


def _drain(serving: list[asyncio.AbstractEventLoop]) -> None:
    """Let Granian drain this worker on the first SIGTERM, or end a worker that serves nothing yet.

    Further signals stay blocked: the third that Granian hears makes it hang.
    """
    signal.sigwait({signal.SIGTERM})
    if serving:
        asyncio.run_coroutine_threadsafe(_tell_granian(), serving[0])
    else:
        os._exit(0)


async def _tell_granian() -> None:
    """Let this worker's own handler of SIGTERM have the signal.

    Granian runs the event loop once to open the server and again to serve, and a signal between
    the two is lost. The first run ends a few turns after the server is open.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.raise_signal(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _stop_with(parent: int) -> None:
    """Stop this worker when its parent has died without stopping it, as after `kill -9`.

    Otherwise the worker would go on answering, and the next server could not use the port.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
