"""Define how calls are sent to Redis. Each storage in a Redis has its own transport."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

from ...errors import StorageUnavailable
from ...meters.metric import Measurement
from ..unreached import because
from .call import Call

UNSURE: Final = "the write may or may not have happened"


class Transport(ABC):
    """Connections to a Redis, which end with `close`."""

    name: str
    """What errors call the engine."""

    clustered: bool = False
    """Whether keys of different slots may be on different servers."""

    read_bytes: int | None = None
    """The most bytes of values that an answer may have, where there is a limit."""

    def server(self, slot: int) -> Hashable:
        """Return what stands for the server that had the slot of a key the last time."""
        return None

    @abstractmethod
    async def run(self, calls: Sequence[Call], deadline: float) -> list[Any]:
        """Return the answer to each call, or a `KvError` that has its cause.

        `deadline` is a time of the event loop. A call that writes is not sent again where the
        write may have happened.
        """

    poll_seconds: float = 0.05
    """How long a reader pauses before it looks for changes again, if no call can wait for them."""

    async def wait(self, call: Call | None, seconds: float) -> float:
        """Wait for the answer to a call that blocks until there are changes, at most some seconds.

        Returns for how many seconds the reader should pause now. `None` stands for changes in
        several slots, for which no call can wait.
        """
        return self.poll_seconds

    def measurements(self) -> Iterable[Measurement]:
        """Return the present numbers of the connections."""
        return ()

    @abstractmethod
    async def close(self) -> None:
        """Close the connections. No call is under way."""


class Lost(Exception):
    """A call without an answer. If it was `sent`, its write may have happened.

    What went wrong is the cause.
    """

    def __init__(self, *, sent: bool, cause: Exception) -> None:
        super().__init__(str(cause))
        self.sent = sent
        self.__cause__ = cause

    def may_repeat(self, call: Call) -> bool:
        """Return whether it does no harm to send the call again."""
        return not (call.writes and self.sent)

    def failure(self, engine: str, *, writes: bool) -> StorageUnavailable:
        """Return the corresponding error of a storage."""
        if self.sent and writes:
            return StorageUnavailable(f"{engine} did not answer; {UNSURE}")
        return StorageUnavailable(f"{engine} does not answer{because(self.__cause__)}")
