"""Define a database that is reached over HTTP, which is opened and closed."""

from abc import abstractmethod

from ...errors import StorageUnavailable
from .database import Database


class Client(Database):
    """The connections to one database."""

    seconds: float
    """How long an operation waits for its answer at most."""

    @abstractmethod
    def open(self) -> None:
        """Get ready to connect. Nothing is sent yet."""

    @abstractmethod
    async def close(self) -> None:
        """Finish the requests under way, and close the connections."""

    @abstractmethod
    def late(self, is_sent: bool) -> StorageUnavailable:
        """Return the error for an operation that has taken too long."""
