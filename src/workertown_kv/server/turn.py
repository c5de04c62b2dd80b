"""Write the answers of one turn of the event loop one right after the other."""

import asyncio
import logging
from typing import Final, Protocol

MOST_WAITING: Final = 64
"""How many connections may wait for the end of the turn, so that none waits for long."""

_LOG: Final = logging.getLogger("workertown_kv")


class Waiting(Protocol):
    """Has bytes to write at the end of the turn."""

    def flush(self) -> None:
        """Write these bytes."""


class Turn:
    """Lets the connections of an event loop write at the end of its turn.

    A client that has nothing to do sleeps, and waking it is half the cost of a write. If answers
    follow each other at once, it is still awake when the next one comes.
    """

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []

    def add(self, connection: Waiting) -> None:
        """Flush a connection at the end of this turn."""
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_soon(self._end)
        waiting.append(connection)
        if len(waiting) == MOST_WAITING:
            self._end()

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.flush()
            except Exception:  # noqa: BLE001  (the other connections get their answers)
                _LOG.exception("An answer could not be written")
