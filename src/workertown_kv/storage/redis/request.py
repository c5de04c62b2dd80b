"""A call as it is sent, and what may come of it other than an answer of Redis."""

from collections.abc import Sequence

import msgspec
from redis.exceptions import RedisError

from ..keyspace import Argument, Call


class Request(msgspec.Struct, frozen=True):
    """A call as it is sent to one server."""

    call: Call
    by_text: bool = False
    """The server does not know the script yet."""
    asking: bool = False
    """The server is about to become the one that has the slot."""

    def commands(self) -> Sequence[Sequence[Argument]]:
        """What is sent; the answer to the last is the outcome."""
        call = self.call
        if call.script is None:
            command = call.arguments
        elif self.by_text:
            command = ("EVAL", call.script.text, *call.arguments)
        else:
            command = ("EVALSHA", call.script.digest, *call.arguments)
        return (("ASKING",), command) if self.asking else (command,)


class Lost(RedisError):
    """There was no answer. `sent` says whether the command was, so that it may have happened.

    What went wrong is the cause.
    """

    def __init__(self, *, sent: bool, cause: Exception) -> None:
        super().__init__(str(cause))
        self.sent = sent
        self.__cause__ = cause


class NotConnected(RedisError):
    """Redis takes no further connection, or none at all; `problem` is what went wrong."""

    def __init__(self, problem: Exception) -> None:
        super().__init__(str(problem))
        self.problem = problem


class TooFewReplicas(RedisError):
    """The write happened, but fewer replicas than asked for have it."""
