"""Encode and decode Cloudflare's bulk form: an array of objects, as `wrangler kv bulk` has it.

A value is text, or bytes in base64. It has no namespaces, and no fractions of a second.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from ..entry import (
    DEFAULT_NAMESPACE,
    Entry,
    check_key,
    check_value_size,
    is_utf8,
    whole_seconds,
)
from ..errors import InputError
from ..namespaces import Namespace
from ..nesting import is_deeper
from ..operations import Set
from .forms import BadFile, Item
from .lines import LineLimits, checked_expiry, is_json, metadata_of


class _Pair(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A pair; `wrangler` and the REST API ignore unknown fields, and so does this."""

    key: str
    value: str
    base64: bool | None = None
    expiration: float | None = None
    expiration_ttl: float | None = None
    metadata: msgspec.Raw | UnsetType = UNSET


_PAIR: Final = msgspec.json.Decoder(_Pair)
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_encode: Final = msgspec.json.Encoder().encode
_TRAILING: Final = re.compile(r"JSON is malformed: trailing characters \(byte (\d+)\)")
_SPACE: Final = b" \t\r\n"


class _State(Enum):
    """What comes next in the file."""

    ARRAY = "["
    FIRST_PAIR = "a pair, or ]"
    PAIR = "a pair"
    AFTER_PAIR = ", or ]"
    NOTHING = "nothing"


_MARKS: Final[Mapping[_State, Mapping[bytes, _State]]] = {
    _State.ARRAY: {b"[": _State.FIRST_PAIR},
    _State.FIRST_PAIR: {b"]": _State.NOTHING},
    _State.PAIR: {},
    _State.AFTER_PAIR: {b",": _State.PAIR, b"]": _State.NOTHING},
    _State.NOTHING: {},
}
"""The state after each mark that may come next."""


class BulkEncoder:
    """Encodes entries as an array, without their namespaces."""

    def __init__(self) -> None:
        self._is_first = True

    def begin(self, at: float) -> bytes:
        """Return the beginning of the array."""
        return b"["

    def namespace(self, namespace: Namespace) -> bytes:
        """Return nothing: all entries must be of one namespace."""
        return b""

    def entries(self, entries: Sequence[Entry]) -> bytes:
        """Return the pairs of some entries."""
        parts = []
        for entry in entries:
            parts += [b"\n" if self._is_first else b",\n", _encode(_pair(entry))]
            self._is_first = False
        return b"".join(parts)

    def end(self) -> bytes:
        """Return the end of the array."""
        return b"\n]\n"


def _pair(entry: Entry) -> _Pair:
    try:
        value, is_text = entry.value.decode(), True
    except UnicodeDecodeError:
        value, is_text = b64encode(entry.value).decode(), False
    return _Pair(
        key=entry.key,
        value=value,
        base64=None if is_text else True,
        expiration=None if entry.expires_at is None else whole_seconds(entry.expires_at),
        metadata=UNSET if entry.metadata is None else msgspec.Raw(entry.metadata),
    )


class BulkDecoder:
    """Decodes an array pair by pair."""

    def __init__(self, limits: LineLimits, clock: Callable[[], float]) -> None:
        self.namespace = DEFAULT_NAMESPACE
        self._limits = limits
        self._clock = clock
        self._state = _State.ARRAY
        self._rest = bytearray()
        self._enough = 0
        """How long the rest must be before it is worth looking for the end of its pair again.

        The search begins at the start of the pair. The rest grows by half between two searches, so
        that a long pair in many blocks is not read many times.
        """
        self._byte = 0
        """The position of the rest in the file."""
        self._number = 0
        """How many pairs were decoded."""

    @property
    def pending_bytes(self) -> int:
        """Return the size of what is not whole yet."""
        return len(self._rest)

    def feed(self, block: bytes) -> Iterator[Item]:
        """Yield the pairs that are whole now."""
        self._rest += block
        most = self._limits.line_bytes + len(block)
        if len(self._rest) >= min(self._enough, most):
            yield from self._whole_pairs()
            if len(self._rest) > most:
                raise self._bad(f"the pair has more than {self._limits.line_bytes:,} bytes")

    def finish(self) -> Iterator[Item]:
        """Yield the last pairs. Raises `BadFile` unless the array has ended."""
        yield from self._whole_pairs()
        if self._state is not _State.NOTHING:
            raise BadFile(
                f"The array is cut off after {self._number:,} pairs (byte {self._byte:,}): "
                f"expected {self._state.value}"
            )

    def _whole_pairs(self) -> Iterator[Item]:
        text = bytes(self._rest)
        start = 0
        # Editors on Windows begin files with a byte order mark.
        if self._byte == 0 and text.startswith(BOM_UTF8):
            start = len(BOM_UTF8)
        elif self._byte == 0 and BOM_UTF8.startswith(text):
            return
        while True:
            start = _after_space(text, start)
            if start == len(text):
                break
            following = _MARKS[self._state].get(text[start : start + 1])
            if following is not None:
                self._state = following
                start += 1
                continue
            end = self._end_of_pair(text, start)
            if end is None:
                break
            yield self._set(text[start:end], start)
            self._number += 1
            self._state = _State.AFTER_PAIR
            start = end
        del self._rest[:start]
        self._enough = len(self._rest) * 3 // 2
        self._byte += start

    def _end_of_pair(self, text: bytes, start: int) -> int | None:
        """Return where a pair ends, `None` if it is not whole yet."""
        if self._state not in (_State.FIRST_PAIR, _State.PAIR):
            raise self._bad(f"expected {self._state.value}", start)
        if text[start : start + 1] != b"{":
            raise self._bad('expected an object, as in {"key": "theme", "value": "dark"}', start)
        try:
            _ANY.decode(memoryview(text)[start:])
        except msgspec.DecodeError as error:
            # Only with this error does the decoder say where an object ends.
            trailing = _TRAILING.fullmatch(str(error))
            if trailing:
                return start + int(trailing[1]) - 1
            if "truncated" in str(error):
                return None
            raise self._bad(str(error), start) from error
        except RecursionError as error:
            raise self._bad("the JSON is nested deeper than this Python can read", start) from error
        return len(text)

    def _set(self, text: bytes, start: int) -> Set:
        try:
            pair = _PAIR.decode(text)
            check_key(pair.key, self._limits.key_bytes)
            value = _value(pair)
            check_value_size(len(value), self._limits.value_bytes)
            depth = self._limits.json_depth
            return Set(
                namespace=self.namespace,
                key=pair.key,
                value=value,
                # As Cloudflare's APIs of this server do it.
                is_json=is_json(value) and not is_deeper(value, depth),
                metadata=metadata_of(pair.metadata),
                expires_at=checked_expiry(self._expiry(pair)),
            )
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
            # Which error msgspec raises for other bytes depends on its version.
            reason = str(error) if is_utf8(text) else "the pair is not in UTF-8"
            raise self._bad(reason, start) from error
        except InputError as error:
            raise self._bad(error.message, start) from error

    def _expiry(self, pair: _Pair) -> float | None:
        if pair.expiration_ttl is not None:
            return self._clock() + pair.expiration_ttl
        return pair.expiration

    def _bad(self, message: str, start: int = 0) -> BadFile:
        return BadFile(f"Pair {self._number + 1:,} (from byte {self._byte + start:,}): {message}")


def _value(pair: _Pair) -> bytes:
    if not pair.base64:
        return pair.value.encode()
    try:
        return b64decode(pair.value, validate=True)
    except (Base64Error, ValueError) as error:
        raise InputError("the value is not base64 text") from error


def _after_space(text: bytes, start: int) -> int:
    while start < len(text) and text[start] in _SPACE:
        start += 1
    return start
