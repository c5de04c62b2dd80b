"""Limit the memory that the bodies and answers of all requests may take together."""

from typing import Final

from ..errors import Overloaded
from ..user import User

UNCOUNTED_BYTES: Final = 64 * 1024
"""What a smaller body or answer takes of memory is not counted."""


class Memory:
    """What is left of the memory for bodies and answers in this process.

    One user gets at most half of it, so that nobody can take all of it from the others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._held_by: dict[str, int] = {}
        """By user; it has those who hold some."""

    def take(self, user: str, size: int) -> None:
        """Count so many bytes more. Raises `Overloaded` where there are not so many left."""
        held = self._held_by.get(user, 0) + size
        if self._held + size > self._most or held > self._most // 2:
            raise Overloaded
        self._held += size
        self._held_by[user] = held

    def give_back(self, user: str, size: int) -> None:
        """Count so many bytes less."""
        self._held -= size
        left = self._held_by.pop(user) - size
        if left:
            self._held_by[user] = left


class Held:
    """What one request holds of the memory, until its answer has been sent."""

    __slots__ = ("_expected", "_memory", "_user", "size")

    def __init__(self, memory: Memory, user: User) -> None:
        self._memory = memory
        # Not the exchange, which refers to this: the collector would have to find the circle.
        self._user = user
        self._expected = 0
        self.size = 0

    def add(self, size: int) -> None:
        """Hold so many bytes more, those that are expected first. Raises `Overloaded`."""
        expected = min(size, self._expected)
        self._expected -= expected
        if size > expected:
            self._memory.take(self._name(), size - expected)
            self.size += size - expected

    def expect(self, size: int) -> None:
        """Hold what will be added after a write, which can no longer be refused then."""
        self._memory.take(self._name(), size)
        self.size += size
        self._expected += size

    def release(self) -> None:
        """Give back all memory."""
        if self.size:
            self._memory.give_back(self._name(), self.size)

    def _name(self) -> str:
        return f"{self._user.strategy}:{self._user.id}"
