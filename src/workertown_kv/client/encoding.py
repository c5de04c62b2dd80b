"""Encode values and metadata, with errors that say where a value is no JSON."""

from collections.abc import Iterable
from math import isfinite
from typing import Any, Final

import msgspec

from ..entry import check_value_size, compact_metadata
from ..errors import InputError
from ..nesting import is_deeper, too_deep
from ..options import LimitsOptions
from .arguments import plainly

_EXPECTED: Final = (
    "expected JSON (None, bool, int, float, str, list or dict), or bytes as the whole value"
)
_BYTES: Final = (bytes, bytearray, memoryview)
_PLAIN: Final = {bool, int, str, type(None)}
_ENCODER: Final = msgspec.json.Encoder()
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)


def encode_value(value: Any, limits: LimitsOptions) -> tuple[bytes, bool]:
    """Return the bytes of a value, and whether they are JSON text."""
    is_json = not isinstance(value, _BYTES)
    text = encode_json(value, limits, "value") if is_json else bytes(value)
    check_value_size(len(text), limits.value_bytes)
    return text, is_json


def encode_metadata(metadata: Any, limits: LimitsOptions) -> bytes | None:
    """Return the JSON text of metadata, which must be an object of limited size."""
    if metadata is None:
        return None
    with plainly():
        return compact_metadata(encode_json(metadata, limits, "metadata"))


def encode_json(value: Any, limits: LimitsOptions, name: str) -> bytes:
    """Return the JSON text of a value. `name` is what errors call it."""
    try:
        text = _ENCODER.encode(value)
        _ANY.decode(text)  # text that the caller has encoded may be no JSON
    except RecursionError as error:
        raise InputError(f"{name}: {too_deep(limits.json_depth)}") from error
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise _fault(value, name, error) from error
    # The encoder writes null for a float that JSON has not.
    _check_parts(value, name, check_floats=b"null" in text)
    if is_deeper(text, limits.json_depth):
        raise InputError(f"{name}: {too_deep(limits.json_depth)}")
    return text


def _check_parts(value: Any, name: str, *, check_floats: bool) -> None:
    """Refuse the parts of a value that the encoder changes silently."""
    plain = _PLAIN if check_floats else {*_PLAIN, float}
    rest: list[tuple[str, Any]] = [(name, value)]
    while rest:
        where, part = rest.pop()
        if isinstance(part, dict | list | tuple):
            parts = part.values() if isinstance(part, dict) else part
            if not plain.issuperset(map(type, parts)):
                rest.extend((at, one) for at, one in _parts(part, where) if type(one) not in plain)
        elif isinstance(part, float) and not isfinite(part):
            raise InputError(f"{where} is {part}, which JSON does not have")
        elif isinstance(part, _BYTES):
            raise _unexpected(part, where)


def _fault(value: Any, where: str, error: Exception) -> InputError:
    """Return the error that names the innermost part of a value that cannot be encoded."""
    for at, part in _parts(value, where):
        try:
            _ANY.decode(_ENCODER.encode(part))
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as inner:
            return _fault(part, at, inner)
    if isinstance(value, str):
        return InputError(f"{where} is not Unicode: it has half of a surrogate pair")
    if isinstance(value, dict | msgspec.Raw):
        return InputError(f"{where}: {error}")
    return _unexpected(value, where)


def _unexpected(value: Any, where: str) -> InputError:
    return InputError(f"{where} is of type {type(value).__name__}; {_EXPECTED}")


def _parts(value: Any, where: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{where}[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"{where}[{index}]", part) for index, part in enumerate(value)]
    return ()
