"""Serve stores on sockets of this process, for storages that are servers in front of them."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from threading import Thread
from typing import Any, Self, TypeVar

from caller import API_KEY
from served_socket import serving
from workertown_kv import Runtime, Server, Storage, kv
from workertown_kv.storage import Retention

_T = TypeVar("_T")


def quiet_server(storage: Storage, *, background: bool = False, **options: Any) -> Server:
    """Make a server that does nothing in the background unless it has to."""
    auth: Any = {"failure_seconds": 0, "api_key": {"api_key": API_KEY}}
    return kv(runtime=Runtime(storage, background), auth=auth, get_env=dict, **options)


class ServersBehind:
    """Runs servers on an event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the event loop of the servers."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def serve(self, storage: Storage, **options: Any) -> str:
        """Serve a storage until the end, and return the URL of its server."""
        return self.run(self._serve(storage, options))

    async def _serve(self, storage: Storage, options: dict[str, Any]) -> str:
        server = quiet_server(storage, **options)
        served = await self._stack.enter_async_context(serving(server))
        await self._stack.enter_async_context(server)
        return f"http://127.0.0.1:{served.port}"


class Behind:
    """The server of one storage, which a test can start again with another retention."""

    def __init__(self, servers: ServersBehind, storage: Storage) -> None:
        self._servers = servers
        self._served: tuple[Retention | None, str] | None = None
        self.storage = storage

    def serve(self, retention: Retention | None) -> str:
        """Serve the storage with this retention, and return the URL of its server."""
        if self._served is not None and self._served[0] == retention:
            return self._served[1]
        if self._served is not None:
            self._servers.run(self.storage.close())
        changes: Any = False
        if retention is not None:
            changes = {"seconds": int(retention.seconds), "entries": retention.entries}
        url = self._servers.serve(self.storage, changes=changes)
        self._served = (retention, url)
        return url

    def sweep(self, limit: int) -> int:
        """Sweep the storage."""
        return self._servers.run(self.storage.sweep(limit))
