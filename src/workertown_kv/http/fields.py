"""Read header fields that are lists, or that a request has several times."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import Detail, InputError

NAMESPACE_FIELD: Final = b"x-kv-namespace"
"""The field that may name the namespace of a request, in place of its query."""

SINGLE: Final = frozenset(
    {
        b"cf-kv-flprod-405",
        b"cf-kv-metadata",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"idempotency-request",
        b"origin",
        b"sec-fetch-site",
        b"x-auth-email",
        b"x-auth-key",
        b"x-auth-user-service-key",
        b"x-kv-metadata",
        NAMESPACE_FIELD,
    }
)
"""The fields that a request may have only once: of two, a proxy may have added the second.

A list, such as `If-Match`, may continue in another field."""

AUTHORIZATION: Final = b"authorization"

FIELD_BYTES: Final = 8 * 1024
"""The longest header field that the server parses."""


def with_repeated(
    headers: Sequence[tuple[bytes, bytes]],
) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    """Return the fields of a request by their names, and the names that come several times.

    The parts of a list are joined (RFC 9110, 5.3). Of a field that may come only once, the first is
    kept, and the guard refuses the request. Two `Authorization` fields count as no credentials.
    """
    found: dict[bytes, bytes] = {}
    repeated = set()
    for name, value in headers:
        if name not in found:
            found[name] = value
            continue
        repeated.add(name)
        if name not in SINGLE:
            found[name] += b"," + value
    if AUTHORIZATION in repeated:
        found[AUTHORIZATION] = b""
    return found, frozenset(repeated)


def check_single(repeated: frozenset[bytes]) -> None:
    """Refuse a request that has a field of `SINGLE` several times."""
    names = sorted(name.decode() for name in repeated & SINGLE)
    if names:
        details = [Detail("header", (name,), "Expected this field once") for name in names]
        raise InputError("Invalid header", details=details)


def list_field(fields: Mapping[bytes, bytes], name: bytes) -> bytes | None:
    """Return a header field that is a list, `None` if the request does not have it.

    Raises `InputError` if it is longer than `FIELD_BYTES`.
    """
    field = fields.get(name)
    return None if field is None else short_enough(field, name)


def short_enough(field: bytes, name: bytes) -> bytes:
    """Return the header field. Raises `InputError` if it is longer than `FIELD_BYTES`."""
    if len(field) > FIELD_BYTES:
        message = f"Expected at most {FIELD_BYTES:,} bytes"
        raise InputError("Invalid header", details=[Detail("header", (name.decode(),), message)])
    return field
