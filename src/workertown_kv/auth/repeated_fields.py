"""Header fields that say two things: a client's, and beside it the one that a proxy has added."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ..errors import Detail, InputError

SINGLE: Final = frozenset(
    {
        b"cf-kv-flprod-405",
        b"cf-kv-metadata",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"x-auth-email",
        b"x-auth-key",
        b"x-auth-user-service-key",
        b"x-kv-namespace",
    }
)
"""The fields of which a request may have only one. Two `Authorization` fields are no credentials,
and lists, such as `If-Match`, go on from one field to the next."""


def check_single(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a request that has one of these fields several times."""
    number = Counter(name for name, _ in headers if name in SINGLE)
    repeated = sorted(name.decode() for name, count in number.items() if count > 1)
    if repeated:
        details = [Detail("header", (name,), "Expected this field once") for name in repeated]
        raise InputError("Invalid header", details=details)
