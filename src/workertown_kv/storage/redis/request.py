"""Define a call as a server gets it, and the failures that may come instead of an answer."""

from collections.abc import Sequence

import msgspec
from redis.exceptions import RedisError

from ..keyspace import Argument, Call


class Request(msgspec.Struct, frozen=True):
    """A call as a server gets it."""

    call: Call
    by_text: bool = False
    """Whether the server does not know the script yet."""
    asking: bool = False
    """Whether the server is about to get the slot of the call."""

    def commands(self) -> Sequence[Sequence[Argument]]:
        """Return the commands to send. The answer to the last command is the outcome."""
        command = self.call.command(by_text=self.by_text)
        return (("ASKING",), command) if self.asking else (command,)


class NotConnected(RedisError):
    """Redis accepts no further connection, or none at all. `problem` is the cause."""

    def __init__(self, problem: Exception) -> None:
        super().__init__(str(problem))
        self.problem = problem


class TooFewReplicas(RedisError):
    """The write happened, but fewer replicas have it than the URL asks for."""
