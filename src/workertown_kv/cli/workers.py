"""Keep the worker processes running: start, reload, replace and stop them."""

import asyncio
import logging
import multiprocessing
import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Final

import msgspec

from ..errors import KvError, StorageUnavailable
from ..files import Files
from ..meters.board import Board
from ..meters.catalogue import DONE, LATE, REFUSED, RELOADS, RESTARTS, WORKERS
from ..server import Server
from ..server.bounded_protocol import Bounds
from ..server.making import kv_from
from ..server.metering import Metering
from .greeting import print_reloaded
from .listening import Sockets, close, tls_context
from .worker import HEARD, Flags, work

_LOG: Final = logging.getLogger("workertown_kv")
PROBE_SECONDS: Final = 10.0
"""How long the start waits to learn whether entries can be written."""

MOST_CONNECTIONS: Final = 10_000
"""How many connections a worker may have."""

_OTHER_FILES: Final = 256
"""How many files a process may have open besides its connections."""

_CLOSE_SECONDS: Final = 10
"""How long a worker may take to close its storage, once it has finished its requests."""

_RELOAD_SECONDS: Final = 10
"""How long a reload waits for a worker before it is reported."""

_SHORT_LIFE_SECONDS: Final = 1.0

_FORK: Final = multiprocessing.get_context("fork")


class _Worker(msgspec.Struct):
    process: multiprocessing.context.ForkProcess
    control: Connection
    started: float


class Workers:
    """Runs workers from the main process, all of whose signals arrive in `run`."""

    def __init__(
        self, flags: Flags, files: Files, sockets: Sockets, tls: ssl.SSLContext | None
    ) -> None:
        self._flags = flags
        self._accepted = files
        """The files that the main process has accepted, for workers that start now or later."""
        self._sockets = sockets
        self._tls = tls
        self._bounds = _bounds(flags)
        self._board = Board(flags.workers, shared=True)
        self._board.main.set(WORKERS, flags.workers)
        results = ((RELOADS, (result,)) for result in (DONE, REFUSED, LATE))
        for metric, labels in ((RESTARTS, ()), *results):
            self._board.main.add(metric, labels, 0)
        self._workers: list[_Worker] = []
        self._changing = threading.Lock()
        """Held while files are accepted, and while a process starts.

        A worker gets the files either at its start or later. No process inherits the end of a pipe
        that is for another process, since a pipe ends only once all of them have closed it.
        """
        self._reloading = threading.Lock()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, and reload on SIGHUP."""
        with _heard() as signals:
            for index in range(self._flags.workers):
                self._workers.append(self._started(index, pause=0))
            while (number := signals.recv(1)[0]) in (signal.SIGCHLD, signal.SIGHUP):
                if number == signal.SIGHUP:
                    _start(threading.Thread(target=self._reload, daemon=True))
                else:
                    self._replace_dead()
            self._stop()

    def _started(self, index: int, *, pause: float) -> _Worker:
        with self._changing:
            ours, control = _FORK.Pipe()
            process = _FORK.Process(target=self._work, args=(index, ours, control, pause))
            _start(process)
            control.close()
        return _Worker(process, ours, time.monotonic())

    def _work(self, index: int, ours: Connection, control: Connection, pause: float) -> None:
        """Run a worker in its own process."""
        signal.set_wakeup_fd(-1)  # the signals of this process are not for the main process
        # The end of a pipe or a socket is noticed once all processes have closed it.
        ours.close()
        for one in self._workers:
            one.control.close()
        sockets = self._sockets[index]
        for each in {one for others in self._sockets for one in others} - set(sockets):
            each.close()
        time.sleep(pause)
        metering = Metering(self._board, index)
        work(self._flags, self._bounds, self._accepted, sockets, self._tls, control, metering)

    def _replace_dead(self) -> None:
        for index, worker in enumerate(self._workers):
            with self._changing:
                exitcode = worker.process.exitcode
            if exitcode is None:
                continue
            ended = f"with status {exitcode}" if exitcode >= 0 else f"by signal {-exitcode}"
            _LOG.error("Worker %d ended %s; another starts", worker.process.pid, ended)
            self._board.main.add(RESTARTS)
            worker.control.close()
            lived = time.monotonic() - worker.started
            pause = _SHORT_LIFE_SECONDS if lived < _SHORT_LIFE_SECONDS else 0
            self._workers[index] = self._started(index, pause=pause)

    def _reload(self) -> None:
        """Reload the files and, if a server can be made from them, give them to the workers."""
        flags = self._flags
        # One reload after the other, so that the last signal wins.
        with self._reloading:
            with self._changing:
                ours, theirs = _FORK.Pipe(duplex=False)
                # Another process, since one that has a database open must not start workers.
                trial = _FORK.Process(target=_try_files, args=(flags, theirs), daemon=True)
                _start(trial)
                theirs.close()
            try:
                files, summaries = ours.recv()
            except EOFError:
                self._board.main.add(RELOADS, (REFUSED,))
                return  # the other process has logged why
            finally:
                ours.close()
                trial.join()
            with self._changing:
                self._accepted = files
                if flags.tls_cert is not None:
                    with suppress(KvError):  # it could be used a moment ago
                        self._tls = tls_context(flags.tls_cert, flags.tls_key)
                controls = [one.control for one in self._workers]
            for control in controls:
                _send(control, files)
            late = [control for control in controls if not _has_answered(control)]
            if late:
                _LOG.error(
                    "%d of %d workers have not reloaded within %d s. Until they do, they accept "
                    "the credentials from before; to be sure, restart the server",
                    len(late),
                    len(controls),
                    _RELOAD_SECONDS,
                )
                self._board.main.add(RELOADS, (LATE,))
                return
            self._board.main.add(RELOADS, (DONE,))
            print_reloaded(summaries, flags.log_format)

    def _stop(self) -> None:
        """Stop the workers, and wait for the requests under way."""
        close(self._sockets, self._flags.uds)
        for worker in self._workers:
            worker.process.terminate()
        seconds = self._flags.drain_seconds + _CLOSE_SECONDS
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            worker.process.join(max(0, deadline - time.monotonic()))
            if worker.process.exitcode is None:
                _LOG.warning(
                    "Killing worker %d, which has not ended within %d s",
                    worker.process.pid,
                    seconds,
                )
                worker.process.kill()
                worker.process.join()


@contextmanager
def _heard() -> Iterator[socket.socket]:
    """Yield a socket from which each signal can be read as a byte, whichever thread takes it.

    Their handlers do nothing, since handlers run between any two steps. Afterwards the process can
    only end, and no signal changes its exit status.
    """
    heard, said = socket.socketpair()
    said.setblocking(False)
    with heard, said:
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        signal.set_wakeup_fd(said.fileno(), warn_on_full_buffer=False)
        for each in HEARD:
            signal.signal(each, lambda *_: None)
        # Also if the program that has started this one had blocked them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        try:
            yield heard
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
            signal.set_wakeup_fd(-1)


def _start(one: multiprocessing.context.ForkProcess | threading.Thread) -> None:
    """Start a thread that takes no signals, or a process in which they wait for its handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    try:
        one.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _try_files(flags: Flags, result: Connection) -> None:
    """Send the files, and what they say of credentials, if a server can be made from them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    files = Files()
    try:
        server = kv_from(files)
        has_stored_keys = asyncio.run(try_out(server))
        if flags.tls_cert is not None:
            tls_context(flags.tls_cert, flags.tls_key)
    except KvError as error:
        _LOG.error("Not reloaded: %s", error.message)
    except Exception:  # noqa: BLE001  (whatever it is, the workers go on)
        _LOG.exception("Not reloaded")
    else:
        known = [one.summary for one in server.strategies]
        if has_stored_keys:
            known.append("API keys in the storage")
        result.send((files, known))


def _send(control: Connection, files: Files) -> None:
    try:
        while control.poll(0):
            control.recv()  # an answer that came too late
        control.send(files)
    except (EOFError, OSError):
        pass  # the worker has died, and the next one starts with these files


def _has_answered(control: Connection) -> bool:
    """Wait until a worker has reloaded, and return whether it has."""
    try:
        if not control.poll(_RELOAD_SECONDS):
            return False
        control.recv()
    except (EOFError, OSError):
        pass  # as above
    return True


async def try_out(server: Server) -> bool:
    """Open the storage once, to report its errors before any worker starts.

    Returns whether the storage is known to keep API keys. Raises errors that last until the
    operator changes something. Failures that may pass are only logged; meanwhile requests get 503.
    """
    storage = server.runtime.storage
    await storage.open()
    try:
        await server.lifecycle.warn()
        async with asyncio.timeout(PROBE_SECONDS):
            await storage.probe()
            return server.api_keys is not None and await server.api_keys.has_any()
    except StorageUnavailable as error:
        _LOG.warning("The storage cannot be used yet (%s): %s", error.kind, error.message)
    except TimeoutError:
        _LOG.warning("The storage cannot be used yet: no answer within %g s", PROBE_SECONDS)
    finally:
        await storage.close()
    return False


def _bounds(flags: Flags) -> Bounds:
    """Return the bounds of a worker, and let it open files for so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + MOST_CONNECTIONS // 8 + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    files = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)
    connections = max(files - _OTHER_FILES, files // 2) * 8 // 9
    return Bounds(
        client_seconds=flags.client_seconds,
        connections=connections,
        refused_at_once=connections // 8,
    )
