"""Check tokens, and whether a network could show them to others."""

import ipaddress

from ..errors import OptionsError
from ..options import Secret


def can_be_token(text: str) -> bool:
    """Return whether a header field can carry a text as a token."""
    return text.isascii() and text.isprintable() and " " not in text and text != ""


def check_token(token: Secret, of: str) -> None:
    """Raise `OptionsError` if no header field can carry the token of, say, the server."""
    if not can_be_token(token.reveal()):
        raise OptionsError(
            f"The token of the {of} has characters that no header field can carry; expected "
            "printable ASCII without spaces"
        )


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, so that no network carries what it gets."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
