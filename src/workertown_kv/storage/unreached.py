"""Describe why a server could not be reached, without its address, since clients may see that."""

import os
import ssl
from typing import Final

_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")


def reason(error: OSError) -> str:
    """Describe an error without the address that asyncio adds."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__


def because(error: BaseException | None) -> str:
    """Return the reason among the causes of an error, in brackets; nothing if none is known."""
    found = error
    connects = False
    while found is not None:
        # By name, since some storages do not need httpx2.
        connects = connects or type(found).__name__ == "ConnectTimeout"
        if isinstance(found, ssl.SSLCertVerificationError):
            # For a wrong name, OpenSSL adds the host or the address.
            message = found.verify_message.partition(", certificate is not valid for ")[0]
            return f" (its certificate is not trusted: {message})"
        if isinstance(found, ssl.SSLError) and found.reason in _NO_TLS:
            return " (it has no TLS at this port)"
        if isinstance(found, ssl.SSLWantReadError):
            # Every wait for data over TLS begins with this error.
            if connects:
                return " (its TLS handshake does not end)"
        elif isinstance(found, ssl.SSLError):
            return f" (TLS failed: {found.reason})"
        elif isinstance(found, OSError) and found.errno is not None:
            return f" ({reason(found)})"
        # Connecting to several addresses fails with several errors.
        group = found if isinstance(found, BaseExceptionGroup) else None
        found = group.exceptions[0] if group else found.__cause__ or found.__context__
    return ""
