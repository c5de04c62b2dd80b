"""Define the protocol of all strategies of authentication."""

from typing import ClassVar, Protocol

from ..http.exchange import Exchange
from ..user import User


class Strategy(Protocol):
    """Authenticates requests in one way. A strategy without credentials is never made."""

    name: ClassVar[str]
    challenge: ClassVar[str]
    """Its challenge in `WWW-Authenticate` (RFC 9110, 11.6.1)."""

    @property
    def summary(self) -> str:
        """Describe its credentials in a few words for the log."""

    async def authenticate(self, exchange: Exchange, authorization: bytes) -> User | None:
        """Return the user whose credentials the request carries, `None` for wrong credentials.

        `authorization` is the `Authorization` field, or a value that an API makes from other
        fields.
        """

    async def renewed(self, user: User) -> User | None:
        """Return a user that this strategy has found, with the scopes of now.

        Returns `None` if the credential of the user is no longer valid.
        """


def credentials_in(authorization: bytes, scheme: bytes) -> bytes | None:
    """Return the credentials in an `Authorization` field of this scheme (in lower case)."""
    given, _, credentials = authorization.partition(b" ")
    return credentials.strip() if given.lower() == scheme else None
