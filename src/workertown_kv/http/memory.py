"""Limit the memory that the bodies and answers of all requests may take together."""

from collections.abc import Iterator
from threading import Lock
from typing import Final

from ..errors import Overloaded
from ..meters.catalogue import MEMORY, MOST_MEMORY
from ..meters.metric import Measurement
from ..user import User

UNCOUNTED_BYTES: Final = 64 * 1024
"""The memory of a body or an answer is counted only if it is larger than this."""


class Memory:
    """Counts the memory that bodies and answers take in this process.

    Each user gets at most half of it, so that nobody can take all of it from the others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()  # an update may decide in a thread of its storage
        self._held = 0
        self._held_by: dict[str, int] = {}
        """The bytes of each user who holds memory."""

    def measurements(self) -> Iterator[Measurement]:
        """Return the memory that is taken, and the most that may be."""
        yield Measurement(MEMORY, self._held)
        yield Measurement(MOST_MEMORY, self._most)

    def take(self, user: str, size: int) -> None:
        """Take `size` bytes for a user. Raises `Overloaded` if there are not as many left."""
        with self._lock:
            held = self._held_by.get(user, 0) + size
            if self._held + size > self._most or held > self._most // 2:
                raise Overloaded
            self._held += size
            self._held_by[user] = held

    def give_back(self, user: str, size: int) -> None:
        """Give back `size` bytes of a user."""
        with self._lock:
            self._held -= size
            left = self._held_by.pop(user) - size
            if left:
                self._held_by[user] = left


class Held:
    """Holds memory for a request until its answer has been sent."""

    __slots__ = ("_expected", "_memory", "_user", "size")

    def __init__(self, memory: Memory, user: User) -> None:
        self._memory = memory
        # Not the exchange, which refers to this object: only the garbage collector would free both.
        self._user = user
        self._expected = 0
        self.size = 0

    def add(self, size: int) -> None:
        """Hold `size` more bytes, those that were expected first. Raises `Overloaded`."""
        expected = min(size, self._expected)
        self._expected -= expected
        if size > expected:
            self._memory.take(self._name(), size - expected)
            self.size += size - expected

    def expect(self, size: int) -> None:
        """Hold bytes that `add` will take after a write, which can then no longer be refused."""
        self._memory.take(self._name(), size)
        self.size += size
        self._expected += size

    def release(self) -> None:
        """Give back all memory."""
        if self.size:
            self._memory.give_back(self._name(), self.size)

    def _name(self) -> str:
        return f"{self._user.strategy}:{self._user.id}"
