"""The event loop that a server is used on: its connections and tasks belong to one."""

import asyncio
from threading import Lock

from ..errors import OtherEventLoop


class UsedLoop:
    """Lets one event loop at a time use a server; one that has ended makes way for the next."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def claim(self) -> None:
        """Use the server on the running event loop. Raises `OtherEventLoop` where it may not."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._loop is not None and self._loop is not loop and self._loop.is_running():
                raise OtherEventLoop
            self._loop = loop

    def release(self) -> None:
        """Let any event loop use the server."""
        self._loop = None
