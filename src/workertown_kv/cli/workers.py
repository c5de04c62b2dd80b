"""The processes that answer requests, and Granian, which runs them."""

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
"""How long a start waits to learn whether entries can be written."""

_HEARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS: Final = 3
_TURNS: Final = 100
"""Turns of the event loop after which it runs for requests."""


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The flags that the processes need. What the server reads by itself is in the environment."""

    host: str
    port: int
    workers: int
    access_log: bool
    log_format: LogFormat
    log_level: LogLevel
    client_seconds: int
    drain_seconds: int
    body_seconds: int | None
    """`client_seconds` where somebody chose it, which wins over the option of that name."""


class Accepted:
    """The files that the main process has accepted, for workers that start now or later."""

    def __init__(self, files: Files) -> None:
        self.files = files


def run(flags: Flags, files: Files) -> None:
    """Serve until SIGTERM or SIGINT, to begin with from these files."""
    server = Granian(
        "workertown_kv",
        address=flags.host,
        port=flags.port,
        interface=Interfaces.ASGI,
        workers=flags.workers,
        loop=Loops.auto,
        websockets=False,
        # Over cleartext HTTP/2 an answer that comes before the body has been read, as 401 and 413
        # do, is lost with the stream.
        http=HTTPModes.http1,
        # Its max_buffer_size stays what it is, 408 KiB: it bounds the header fields, but bodies
        # are read in such pieces too, and with 64 KiB a PUT of 25 MiB takes twice as long.
        http1_settings=HTTP1Settings(header_read_timeout=flags.client_seconds * 1000),
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        log_dictconfig=JSON_LOGGING if flags.log_format == "json" else None,
        workers_kill_timeout=flags.drain_seconds,
    )

    # A handler would run between any two steps of the main thread, which may hold a lock that the
    # handler needs, and a new worker may lose a signal that comes before it has its own handlers.
    # A blocked signal waits instead for the thread that hears it: _hear here, _drain in a worker.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    accepted = Accepted(files)
    reload = partial(_reload, accepted, server.signal_handler_reload, threading.Lock(), flags)
    hearing = (server.signal_handler_interrupt, reload)
    threading.Thread(target=_hear, args=hearing, daemon=True).start()
    # Granian forks a worker, or pickles this for it, when the worker starts: either way it has what
    # is accepted then.
    server.serve(target_loader=partial(_load, flags, accepted), wrap_loader=False)


def _hear(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    """Tell the main thread which signals have come."""
    while signal.sigwait(_HEARD) == signal.SIGHUP:
        threading.Thread(target=reload).start()
    # Again and again, since a main thread that was replacing a worker forgets what it was told.
    while True:
        stop()
        time.sleep(0.1)


async def try_out(server: Server) -> None:
    """Open the storage once, so that what is wrong with it is said here and not in a worker.

    Raises what cannot work until somebody changes something. What may pass is only logged: until
    it has passed, requests get 503.
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
    """Read the files again and, where a server can be made from them, replace the workers."""
    # One after the other, so that the last signal has the last word.
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
    """What each worker process serves."""
    # Ctrl-C and SIGHUP reach the workers too, and stay blocked: only the main process hears them.
    serving: list[asyncio.AbstractEventLoop] = []
    threading.Thread(target=_drain, args=(serving,), daemon=True).start()
    threading.Thread(target=_stop_with, args=(os.getppid(),), daemon=True).start()
    set_up_log(flags.log_format, flags.log_level)
    try:
        server = server_of_worker(flags, accepted.files)
    except Exception:  # noqa: BLE001  (whatever it is, the process ends)
        # The process would print it as it is, whatever the format of the log.
        _LOG.critical("A worker could not start", exc_info=True)
        raise SystemExit(1) from None
    server.lifecycle.warns = False  # the main process has logged it
    server.router.lifespan_context = partial(_lifespan, serving)
    # What is here now stays; looking through it for garbage again and again takes 10 ms each time.
    gc.collect()
    gc.freeze()
    return server


def server_of_worker(flags: Flags, files: Files) -> Server:
    """Make the server of a worker; wait until that is possible.

    The main process has made the same one, so something has changed since, such as a certificate
    of the database. A worker that ended would end all others with it.
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

    The main process has opened it, so something has changed since. A worker that ended would end
    all others with it.
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
    """Stop this worker where its parent has died without telling it to, as by `kill -9`.

    It would go on answering otherwise, and keep the port from the next server.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
