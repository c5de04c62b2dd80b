"""Log in to a server without giving the password away, and say what a login lacks.

This relies on internals of asyncmy.
"""

import ssl
from typing import Any, Final

from asyncmy.connection import Connection
from asyncmy.errors import OperationalError

_HAS_TLS: Final = 0x800
"""The capability of a server that accepts TLS (CLIENT_SSL)."""

_IN_CLEAR_TEXT: Final = frozenset({b"mysql_clear_password", b"dialog"})
"""The methods by which a client sends the password itself."""

NO_TLS: Final = 2026
NO_METHOD: Final = 2059


class LoginConnection(Connection):
    """A connection that sends a password in clear text only over TLS or a Unix socket."""

    _secure: bool
    _ssl_context: ssl.SSLContext | None
    server_capabilities: int

    async def _request_authentication(self) -> None:
        if self._ssl_context is not None and not self.server_capabilities & _HAS_TLS:
            raise OperationalError(NO_TLS, "The server has no TLS, which sslmode in the URL needs")
        try:
            await super()._request_authentication()  # type: ignore[misc]  # its stub lacks it
        except RuntimeError as error:
            # So asyncmy says that a package is missing.
            raise OperationalError(NO_METHOD, f"The login cannot be done: {error}") from error

    async def _process_auth(self, method: bytes, packet: Any) -> Any:
        if method in _IN_CLEAR_TEXT and not self._secure:
            raise OperationalError(
                NO_METHOD,
                "The server asks for the password in clear text, which needs TLS: "
                "expected sslmode=verify-full in the URL",
            )
        return await super()._process_auth(method, packet)  # type: ignore[misc]  # its stub lacks it
