"""What a strategy is."""

from typing import ClassVar, Protocol

from ..http.exchange import Exchange
from ..user import User


class Strategy(Protocol):
    """One way to tell who made a request. It has credentials, or there is no such object."""

    name: ClassVar[str]
    challenge: ClassVar[str]
    """What `WWW-Authenticate` says of it (RFC 9110, 11.6.1)."""

    @property
    def summary(self) -> str:
        """Whom it knows, in a few words for the log."""

    async def authenticate(self, exchange: Exchange, authorization: bytes) -> User | None:
        """Return the user whose credentials the request carries, `None` where they do not fit.

        `authorization` is the `Authorization` field, or what an API makes into one.
        """


def credentials_in(authorization: bytes, scheme: bytes) -> bytes | None:
    """Return the credentials of an `Authorization` field that has this scheme (in lower case)."""
    given, _, credentials = authorization.partition(b" ")
    return credentials.strip() if given.lower() == scheme else None
