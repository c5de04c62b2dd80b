"""Run a worker: a process that answers requests, with uvicorn's protocol on uvloop."""

import asyncio
import ctypes
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState

from ..errors import KvError, OptionsError
from ..files import Files
from ..meters.catalogue import CONNECTIONS, MOST_CONNECTIONS, RUNNING
from ..meters.metric import Measurement
from ..server import Server
from ..server.bounded_protocol import BoundedProtocol, Bounds
from ..server.making import kv_from
from ..server.metering import Metering
from ..server.plain_protocol import PlainProtocol
from ..server.turn import Turn
from .access_lines import AccessLines
from .listening import BACKLOG, load_certificate
from .log import LogFormat, LogLevel, set_up_log

HEARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
"""The signals for the main process; workers also get SIGTERM, and the signals of a terminal."""

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BLOCK_BYTES: Final = 1024 * 1024

_AGAIN_SECONDS: Final = 3
_DRAIN_STEP_SECONDS: Final = 0.02

_LOG: Final = logging.getLogger("workertown_kv")


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The flags that the processes need; the server reads the rest from the environment."""

    host: str
    port: int
    uds: str | None
    tls_cert: str | None
    tls_key: str | None
    workers: int
    access_log: bool
    log_format: LogFormat
    log_level: LogLevel
    client_seconds: int
    drain_seconds: int
    body_seconds: int | None
    """`client_seconds` if it was chosen; it then wins over the option `limits.body_seconds`."""


def work(
    flags: Flags,
    bounds: Bounds,
    files: Files,
    sockets: Sequence[socket.socket],
    tls: ssl.SSLContext | None,
    control: Connection,
    metering: Metering,
) -> None:
    """Answer requests until SIGTERM, or until the main process has died.

    `control` brings files to reload, and takes an answer when this worker uses them. `metering` may
    have the numbers of a worker that has died.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    set_up_log(flags.log_format, flags.log_level)
    _return_large_blocks()
    try:
        with asyncio.Runner(loop_factory=_event_loop()) as runner:
            runner.run(Worker(flags, bounds, files, sockets, tls, control, metering).run())
    except Exception:  # noqa: BLE001  (whatever it is, the process ends)
        # Otherwise the process would print the traceback itself, ignoring the format of the log.
        _LOG.critical("A worker failed", exc_info=True)
        raise SystemExit(1) from None


def _return_large_blocks() -> None:
    """Let glibc return each large block of memory to the system as soon as it is free.

    By default, glibc keeps blocks of up to 32 MiB once it has seen some: two or three values for
    as long as the process lives.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # musl has no such setting, and keeps nothing
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the function that makes an event loop of uvloop, `None` if there is no uvloop."""
    try:
        import uvloop  # noqa: PLC0415  (Windows has none)
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


class Worker:
    """Serves the sockets of one worker process."""

    def __init__(
        self,
        flags: Flags,
        bounds: Bounds,
        files: Files,
        sockets: Sequence[socket.socket],
        tls: ssl.SSLContext | None,
        control: Connection,
        metering: Metering,
    ) -> None:
        self._flags = flags
        self._bounds = bounds
        self._files = files
        self._sockets = sockets
        self._tls = tls
        self._control = control
        self._metering = metering
        self._state = ServerState()
        self._server: Server | None = None
        self._listeners: list[asyncio.Server] = []
        self._closing: set[asyncio.Task[None]] = set()
        """The tasks that close servers which were replaced."""

    async def run(self) -> None:
        """Serve until SIGTERM; then answer the requests under way."""
        self._metering.sheet.forget_gauges()
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        loop.add_reader(self._control.fileno(), self._hear)
        serving = asyncio.create_task(self._serve())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            serving.result()  # raises the error that has ended it
        serving.cancel()
        await asyncio.wait((serving,))
        await self._drain()

    def _hear(self) -> None:
        """Take files to reload from the main process, or stop because it has died."""
        try:
            self._files = self._control.recv()
            self._reloading.set()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._stopping.set()

    async def _serve(self) -> None:
        self._server = await self.open_server()
        self._config = config = Config(
            self._server,
            interface="asgi3",
            http=PlainProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        config.load()
        # All objects that exist now stay; each search for garbage among them would take 10 ms.
        gc.collect()
        gc.freeze()
        self._tick()
        protocol = partial(PlainProtocol, self._bounds, config, self._state, Turn())
        loop = asyncio.get_running_loop()
        for one in self._sockets:
            is_local = one.family == socket.AF_UNIX
            create = loop.create_unix_server if is_local else loop.create_server
            seconds = None if self._tls is None else self._flags.client_seconds
            self._listeners.append(
                await create(
                    protocol,
                    sock=one,
                    ssl=self._tls,
                    ssl_handshake_timeout=seconds,
                    backlog=BACKLOG,
                )
            )
        while True:
            await self._reloading.wait()
            self._reloading.clear()
            try:
                await self._reload()
            except Exception:  # noqa: BLE001  (whatever it is, the server before goes on)
                _LOG.critical("A worker could not reload", exc_info=True)

    async def open_server(self) -> Server:
        """Return a server made from the files that the main process has accepted.

        The main process has made the same server and opened its storage, so on an error something
        has changed since, such as a certificate of the database. If the server cannot be made, this
        method tries again. If the storage cannot be opened, the worker serves all the same, and
        each request tries to open it.
        """
        server = None
        while server is None:
            try:
                # A thread, since requests go on while the next server is made.
                server = await asyncio.to_thread(
                    server_of_worker, self._flags, self._files, self._metering
                )
            except KvError as error:
                _LOG.error("A worker cannot start, and will try again: %s", error.message)
                await asyncio.sleep(_AGAIN_SECONDS)
        if server.publisher is not None:
            server.publisher.sources.append(self._measurements)
        try:
            await server.open()
        except KvError as error:
            _LOG.error("A worker cannot open the storage, and will try again: %s", error.message)
        return server

    async def _reload(self) -> None:
        """Replace the server. The old one answers the requests under way, the new one all others.

        No connection is closed, so that no client can lose a request.
        """
        flags = self._flags
        new = await self.open_server()
        if self._tls is not None and flags.tls_cert is not None:
            try:
                load_certificate(self._tls, flags.tls_cert, flags.tls_key)
            except OptionsError as error:
                _LOG.error("The certificate was not reloaded: %s", error.message)
        old, self._server = self._server, new
        # Parts that only the old server had would leave their last numbers behind.
        self._metering.sheet.forget_gauges()
        if new.publisher is not None:
            new.publisher.publish()
        self._config.app = self._config.loaded_app = new
        for connection in self._state.connections:
            assert isinstance(connection, BoundedProtocol)
            connection.use(new)
        assert old is not None
        old.end_streams()
        closing = asyncio.create_task(self._close(old, set(self._state.tasks)))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._control.send(None)

    async def _close(self, server: Server, answering: set[asyncio.Task[None]]) -> None:
        if answering:
            await asyncio.wait(answering, timeout=self._flags.drain_seconds)
        await server.close()
        del server
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _measurements(self) -> Iterator[Measurement]:
        yield Measurement(CONNECTIONS, len(self._state.connections))
        yield Measurement(MOST_CONNECTIONS, self._bounds.connections)
        yield Measurement(RUNNING, len(self._state.tasks))

    def _tick(self) -> None:
        """Once a second, do what needs no exact time.

        Set the date of answers, look for clients that are too slow, and publish the numbers of this
        process, which any worker may be asked for.
        """
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        for connection in list(self._state.connections):
            assert isinstance(connection, BoundedProtocol)
            connection.sweep()
        if self._server is not None and self._server.publisher is not None:
            self._server.publisher.publish()
        asyncio.get_running_loop().call_later(1, self._tick)

    async def _drain(self) -> None:
        """Answer the requests under way, and close the storage."""
        for listener in self._listeners:
            listener.close()
        connections, tasks = self._state.connections, self._state.tasks
        for connection in list(connections):
            connection.shutdown()
        if self._server is not None:
            self._server.end_streams()
        try:
            async with asyncio.timeout(self._flags.drain_seconds):
                while connections or tasks:  # noqa: ASYNC110  (uvicorn has no event for this)
                    await asyncio.sleep(_DRAIN_STEP_SECONDS)
        except TimeoutError:
            if tasks:
                _LOG.warning(
                    "Requests cut off, since they did not finish within %d s: %d",
                    self._flags.drain_seconds,
                    len(tasks),
                )
            logging.getLogger("uvicorn.error").disabled = True  # it would log each with a traceback
            for task in list(tasks):
                task.cancel()
        if self._closing:
            await asyncio.wait(self._closing)
        if self._server is not None:
            await self._server.close()


def server_of_worker(flags: Flags, files: Files, metering: Metering) -> Server:
    """Return a server from files that the main process has accepted. Raises `KvError`."""
    chosen = flags.body_seconds
    server = kv_from(
        files,
        metering=metering,
        limits={} if chosen is None else {"body_seconds": chosen},
    )
    if flags.access_log:
        server.watch(AccessLines(flags.log_format, server.address_of))
    server.lifecycle.warns = False  # the main process has logged it
    return server
