"""Encode and decode the lines of an export, without any I/O.

An export has a line of JSON for each entry. The format is in `docs/reference/export-format.md`.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from msgspec import UNSET, UnsetType

from ..entry import (
    DEFAULT_ID,
    MAX_EXPIRES_AT,
    METADATA_BYTES,
    Entry,
    check_key,
    check_value_size,
    compact_metadata,
    is_id,
    is_utf8,
)
from ..errors import Detail, InputError
from ..namespaces import Namespace, check_title
from ..nesting import JSON_DEPTH, is_deeper, too_deep
from ..operations import Set

FORMAT: Final = 1
"""The version of the format, in the first line."""

_SLACK_BYTES: Final = 64 * 1024


class LineLimits(msgspec.Struct, frozen=True):
    """The largest sizes that an import accepts."""

    value_bytes: int
    key_bytes: int
    json_depth: int = JSON_DEPTH

    @property
    def line_bytes(self) -> int:
        """Return the size of the longest line: escapes may double the text of a value."""
        return 2 * self.value_bytes + _SLACK_BYTES


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: the format, and when the export began, in Unix seconds."""

    workertown_kv_export: int
    at: float


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line: the number of entries, and the SHA-256 of all bytes before this line."""

    end: bool
    count: int
    sha256: str


class _NamespaceLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    namespace: str
    title: str
    account: str = ""


class _EntryLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    key: str
    value: msgspec.Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET
    expires_at: float | None = None
    metadata: msgspec.Raw | UnsetType = UNSET


Line = Header | Namespace | Set | End
"""What a line says."""

_encode: Final = msgspec.json.Encoder().encode
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_ENTRY: Final = msgspec.json.Decoder(_EntryLine)
_END: Final = msgspec.json.Decoder(End)
_OTHERS: Final[Mapping[str, msgspec.json.Decoder[Header | _NamespaceLine | End]]] = {
    "workertown_kv_export": msgspec.json.Decoder(Header),
    "namespace": msgspec.json.Decoder(_NamespaceLine),
    "end": cast("msgspec.json.Decoder[Any]", _END),
}
"""The decoders of the lines that are no entries, each by a field that only such lines have."""


def encode_header(at: float) -> bytes:
    """Return the first line of an export that begins at this time."""
    return b'{"workertown_kv_export": %d, "at": %d}\n' % (FORMAT, int(at))


def encode_namespace(namespace: Namespace) -> bytes:
    """Return the line before the entries of a namespace."""
    account = b', "account": %b' % _encode(namespace.account) if namespace.account else b""
    id, title = _encode(namespace.id), _encode(namespace.title)
    return b'{"namespace": %b, "title": %b%b}\n' % (id, title, account)


def encode_entry(entry: Entry) -> bytes:
    """Return the line of an entry."""
    line = b'{"key": %b, %b' % (_encode(entry.key), _value_field(entry))
    if entry.expires_at is not None:
        line += b', "expires_at": %b' % _number(entry.expires_at)
    if entry.metadata is not None:
        # In JSON, a line break stands only between tokens.
        metadata = entry.metadata.replace(b"\n", b" ").replace(b"\r", b" ")
        line += b', "metadata": %b' % metadata
    return line + b"}\n"


def encode_end(count: int, sha256: str) -> bytes:
    """Return the last line of an export."""
    return b'{"end": true, "count": %d, "sha256": "%b"}\n' % (count, sha256.encode())


def is_json(value: bytes) -> bool:
    """Return whether a value is JSON text in UTF-8."""
    return _json_bytes(value) is not None


def decode_line(line: bytes, namespace: str, limits: LineLimits) -> Line:
    """Return what a line says; `namespace` is the name of the namespace of an entry.

    Raises `InputError` with what is wrong.
    """
    try:
        return _set(_ENTRY.decode(line), namespace, limits)
    except (msgspec.DecodeError, RecursionError) as error:
        return _other_line(line, error)


def decode_end(line: bytes) -> End | None:
    """Return the last line of an export, `None` if this is another line."""
    try:
        return _END.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None


def _value_field(entry: Entry) -> bytes:
    value = entry.value
    if entry.is_json:
        size = _json_bytes(value)
        # Text that is no JSON, which another program may have written, stays the same as base64.
        if size is not None:
            if size == len(value) and b"\n" not in value and b"\r" not in value:
                return b'"value": %b' % value
            return b'"text": %b' % _encode(value.decode())
    return b'"base64": "%b"' % b64encode(value)


def _json_bytes(value: bytes) -> int | None:
    """Return the size of JSON text without the white space around it, `None` for other bytes."""
    try:
        size = len(_ANY.decode(value))
    except (msgspec.DecodeError, RecursionError):
        return None
    return size if value.isascii() or is_utf8(value) else None


def _number(seconds: float) -> bytes:
    return _encode(int(seconds) if seconds.is_integer() else seconds)


def _set(line: _EntryLine, namespace: str, limits: LineLimits) -> Set:
    check_key(line.key, limits.key_bytes)
    value, is_json = _value(line, limits)
    return Set(
        namespace=namespace,
        key=line.key,
        value=value,
        is_json=is_json,
        metadata=metadata_of(line.metadata),
        expires_at=checked_expiry(line.expires_at),
    )


def metadata_of(given: msgspec.Raw | UnsetType, path: tuple[str | int, ...] = ()) -> bytes | None:
    """Return metadata as it is kept: any JSON, since Cloudflare's APIs accept any JSON.

    `path` is the way to the operation that has it, for errors.
    """
    if isinstance(given, UnsetType):
        return None
    metadata = bytes(given)
    if not metadata.isascii() and not is_utf8(metadata):
        raise InputError("metadata is not in UTF-8")
    if metadata.startswith(b"{"):
        return compact_metadata(metadata, path)
    if len(metadata) > METADATA_BYTES:
        message = f"metadata has {len(metadata):,} bytes; at most {METADATA_BYTES:,} are allowed"
        details = [Detail("body", (*path, "metadata"), message)] if path else []
        raise InputError(message, details=details)
    compact = msgspec.json.format(metadata, indent=-1)
    return None if compact == b"null" else compact


def checked_expiry(expires_at: float | None) -> float | None:
    """Return an expiry that an entry may have; it may be in the past."""
    if expires_at is not None and not expires_at <= MAX_EXPIRES_AT:
        raise InputError("expires_at is after the year 9999")
    return expires_at


def _value(line: _EntryLine, limits: LineLimits) -> tuple[bytes, bool]:
    fields: Sequence[str | UnsetType]
    if not isinstance(line.value, UnsetType):
        value, fields = bytes(line.value), (line.text, line.base64)
        if not value.isascii() and not is_utf8(value):
            raise InputError("value is not in UTF-8")
    elif not isinstance(line.text, UnsetType):
        value, fields = line.text.encode(), (line.base64,)
        if not is_json(value):
            raise InputError("text is not JSON; expected the text of a JSON value")
    elif not isinstance(line.base64, UnsetType):
        try:
            value = b64decode(line.base64, validate=True)
        except (Base64Error, ValueError) as error:
            raise InputError("base64 is not base64 text") from error
        check_value_size(len(value), limits.value_bytes)
        return value, False
    else:
        raise InputError("there is no value; expected value, text or base64")
    if any(field is not UNSET for field in fields):
        raise InputError("there are several values; expected only one of value, text and base64")
    check_value_size(len(value), limits.value_bytes)
    if len(value) > limits.json_depth and is_deeper(value, limits.json_depth):
        raise InputError(too_deep(limits.json_depth))
    return value, True


def _other_line(line: bytes, error: Exception) -> Line:
    """Return what a line says that is no entry. Raises `InputError` if it says nothing."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError as other:
        raise InputError(f"{_EXPECTED}; got another JSON value") from other
    except (msgspec.DecodeError, RecursionError) as other:
        raise InputError(f"{_EXPECTED}; {other}") from other
    decoder = next((_OTHERS[name] for name in _OTHERS if name in fields), None)
    if decoder is None or "key" in fields:
        raise InputError(f"{_EXPECTED}; {error}") from error
    try:
        found = decoder.decode(line)
    except msgspec.DecodeError as other:
        raise InputError(f"{_EXPECTED}; {other}") from other
    match found:
        case Header() if found.workertown_kv_export != FORMAT:
            raise InputError(
                f"the export has the format {found.workertown_kv_export}; this version of "
                f"workertown-kv reads the format {FORMAT}"
            )
        case _NamespaceLine():
            return _namespace(found)
        case Header() | End():
            return found
    raise AssertionError(found)


_EXPECTED: Final = 'expected an entry, as in {"key": "theme", "value": "dark"}'


def _namespace(line: _NamespaceLine) -> Namespace:
    if not is_id(line.namespace):
        raise InputError(f"namespace is {line.namespace[:100]!r}; expected an id of 32 hex digits")
    if line.namespace != DEFAULT_ID:
        check_title(line.title)
    return Namespace(line.namespace, line.title, line.account)
