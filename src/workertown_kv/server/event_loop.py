"""Keep a server on one event loop, to which its connections and tasks belong."""

import asyncio
from threading import Lock

from ..errors import OtherEventLoop


class UsedLoop:
    """Lets one event loop at a time use a server, and the next after that loop has ended."""

    def __init__(self) -> None:
        self._claiming = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_used = False

    def claim(self) -> asyncio.Lock:
        """Use the server on the running event loop, and return the lock of the loop's tasks.

        Raises `OtherEventLoop` if another event loop uses the server.
        """
        loop = asyncio.get_running_loop()
        with self._claiming:
            if self._loop is not loop:
                if self._loop is not None and self._is_used and self._loop.is_running():
                    raise OtherEventLoop
                self._loop, self._lock = loop, asyncio.Lock()
            self._is_used = True
            return self._lock

    def release(self) -> None:
        """Let any event loop use the server."""
        self._is_used = False
