"""Run coroutines for code that blocks, on one event loop in a thread of its own."""

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from ..errors import ClientError

T = TypeVar("T")

END_SECONDS: Final = 1.0
"""How long calls under way may take to end by themselves while a client is closed."""

Close = Callable[[], Coroutine[Any, Any, None]]


class LoopThread:
    """An event loop in a thread, which starts with its first coroutine.

    It ends with `close`, or when this object is collected; then `close_all` runs last. Callers may
    be in any thread, also in one with a running event loop: that event loop stands still until the
    result is there, as with any call that blocks.
    """

    def __init__(self, close_all: Close) -> None:
        self._lock = threading.Lock()
        self._close_all = close_all
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._finalize: Callable[[], object] = lambda: None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result. Raises `ClientError` if that is not possible."""
        try:
            future = self._submit(coroutine)
        except ClientError:
            coroutine.close()
            raise
        try:
            return future.result()
        except CancelledError:
            raise ClientError("The client was closed meanwhile") from None
        finally:
            future.cancel()  # if the caller was interrupted, as by Ctrl-C

    def close(self) -> None:
        """Close what is open, and end the thread. Repeating it does no harm."""
        if self._process == os.getpid():
            with self._lock:
                self._is_closed = True
            self._finalize()

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        if self._process != os.getpid():  # a thread of the old process may have had the lock
            raise ClientError(
                "The Client was made before this process was forked; make a Client in each process"
            )
        if sys.is_finalizing():  # the thread does not run any more
            raise ClientError("The process ends; expected the client to be closed before")
        with self._lock:
            if self._is_closed:
                raise ClientError("The client is closed; make another one")
            return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(
                target=_run, args=[loop], name="workertown-kv client", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                loop.close()
                raise ClientError(f"The client cannot start its thread: {error}") from error
            self._loop, self._thread = loop, thread
            self._finalize = ending = weakref.finalize(
                self, _end, self._loop, self._thread, self._close_all, self._process
            )
            # At the end of the process, storages can no longer use their threads.
            ending.atexit = False
        elif threading.current_thread() is self._thread:
            raise ClientError(
                "A Client was called on its own event loop; use AsyncClient in coroutines"
            )
        return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _end(
    loop: asyncio.AbstractEventLoop, thread: threading.Thread, close_all: Close, process: int
) -> None:
    if process != os.getpid() or not thread.is_alive():
        return

    async def end() -> None:
        await close_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:  # such as watches, which end by themselves
            await asyncio.wait(others, timeout=END_SECONDS)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await loop.shutdown_default_executor()

    ending = asyncio.run_coroutine_threadsafe(end(), loop)
    ending.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
    if threading.current_thread() is not thread:  # the garbage collector may run in any thread
        thread.join()
        ending.result()
