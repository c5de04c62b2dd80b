"""What a strategy is."""

from typing import ClassVar, Protocol

from starlette.types import Scope

from ..user import User


class Strategy(Protocol):
    """One way to tell who made a request. It has credentials, or there is no such object."""

    name: ClassVar[str]
    challenge: ClassVar[str]
    """What `WWW-Authenticate` says of it (RFC 9110, 11.6.1)."""

    @property
    def summary(self) -> str:
        """Whom it knows, in a few words for the log."""

    async def authenticate(self, scope: Scope) -> User | None:
        """The user whose credentials the request carries, `None` where they do not fit."""


def authorization(scope: Scope, scheme: bytes) -> bytes | None:
    """The credentials of the `Authorization` field, where it has this scheme (in lower case).

    A request with several such fields is ambiguous and has no credentials.
    """
    fields = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(fields) != 1:
        return None
    given, _, credentials = fields[0].partition(b" ")
    return credentials.strip() if given.lower() == scheme else None
