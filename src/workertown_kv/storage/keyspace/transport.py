"""How calls get to Redis: each storage brings its own way."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .call import Call


class Transport(ABC):
    """A way to a Redis, from when it is made until it is closed."""

    clustered: bool = False
    """Whether keys of different slots may be on different servers."""

    read_bytes: int | None = None
    """The most bytes of values that an answer may have, where there is a limit."""

    @abstractmethod
    async def run(self, calls: Sequence[Call], deadline: float) -> list[Any]:
        """Of each call the answer or the `KvError`, which has its cause.

        `deadline` is a time of the event loop. A call that writes is not sent again where it may
        have happened.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of the connections. Nobody uses them any more."""
