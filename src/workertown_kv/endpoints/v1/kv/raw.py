"""Decode a `PUT` whose body is the value itself."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from ....entry import METADATA_BYTES, compact_metadata
from ....errors import Detail, InputError, UnsupportedMediaType
from ....http.body import media_type_of
from ....http.exchange import Exchange
from ....http.json_depth import is_json_in_turns
from ....http.query import bad_query, is_true
from ....operations import Precondition, Set
from ....options import LimitsOptions
from ....transfer.lines import metadata_of
from .expiry import expiry_of, is_precise

METADATA: Final = b"x-kv-metadata"

_FORMS: Final = (b"application/x-www-form-urlencoded", b"multipart/form-data")


def is_raw(exchange: Exchange) -> bool:
    """Return whether the body of a `PUT` is the value itself, and not JSON with a `value`.

    Raises `UnsupportedMediaType` for the body of a form, or without a media type.
    """
    media_type = media_type_of(exchange)
    if media_type == b"application/json":
        return False
    if media_type and media_type not in _FORMS:
        return True
    got = f"got {media_type.decode('latin-1')}" if media_type else "there is none"
    raise UnsupportedMediaType(
        "Expected Content-Type: application/json or, if the body is the value itself, its type, "
        f"such as application/octet-stream; {got}"
    )


def check_no_fields(parameters: Mapping[str, str]) -> None:
    """Raise `InputError` for parameters of a request whose body is not the value itself."""
    if is_true(parameters, "bytes"):
        raise bad_query("bytes", "Expected true only if the body is the value itself, not JSON")
    for name in ("ttl", "expires_at"):
        if name in parameters:
            raise bad_query(name, f"Expected {name} in the JSON of the body, beside the value")


async def decode_raw(
    exchange: Exchange,
    body: bytes | bytearray,
    parameters: Mapping[str, str],
    *,
    namespace: str,
    key: str,
    precondition: Precondition | None,
    limits: LimitsOptions,
    now: float,
) -> Set:
    """Return the operation of a request, whose body is the value."""
    try:
        expires_at = expiry_of(
            _number(parameters, "ttl"),
            _fraction(parameters, "expires_at"),
            now,
            is_precise=is_precise(parameters),
        )
    except InputError as error:
        details = [Detail("query", one.path, one.message) for one in error.details]
        raise InputError("Invalid query", details=details) from error
    return Set(
        namespace=namespace,
        key=key,
        value=bytes(body),
        is_json=not is_true(parameters, "bytes")
        and await is_json_in_turns(body, limits.json_depth),
        metadata=_metadata(exchange, is_any=is_precise(parameters)),
        expires_at=expires_at,
        precondition=precondition,
    )


def _number(parameters: Mapping[str, str], name: str) -> int | UnsetType:
    if name not in parameters:
        return UNSET
    try:
        return _INT.decode(parameters[name])
    except msgspec.DecodeError as error:
        raise bad_query(name, "Expected a whole number of at least 1") from error


def _fraction(parameters: Mapping[str, str], name: str) -> float | UnsetType:
    if name not in parameters:
        return UNSET
    try:
        return _INT_OR_FLOAT.decode(parameters[name])
    except msgspec.DecodeError as error:
        raise bad_query(name, "Expected a time in Unix seconds") from error


_INT: Final = msgspec.json.Decoder(int)
_INT_OR_FLOAT: Final[msgspec.json.Decoder[float]] = msgspec.json.Decoder(int | float)


def _metadata(exchange: Exchange, *, is_any: bool) -> bytes | None:
    text = exchange.fields.get(METADATA)
    if text is None:
        return None
    try:
        text.decode()
        given = _ANY.decode(text)
        return metadata_of(given) if is_any else compact_metadata(bytes(given))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, InputError) as error:
        expected = f"Expected a JSON object of at most {METADATA_BYTES:,} bytes"
        detail = Detail("header", (METADATA.decode(),), expected)
        raise InputError("Invalid header", details=[detail]) from error


_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
