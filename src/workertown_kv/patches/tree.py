"""Turn JSON text into a tree that can be changed, and back, without changing its numbers."""

import json
from typing import Any, Final

import msgspec

from ..errors import PatchConflict
from .number import Number

Tree = Any
"""What `json.loads` makes, but with `Number` for each number."""


def parsed(text: bytes) -> Tree:
    """Return the tree of valid JSON text."""
    return json.loads(text.decode(), parse_int=Number, parse_float=Number)


def written(tree: Tree) -> bytes:
    """Return the JSON text of a tree."""
    try:
        return _ENCODER.encode(tree)
    except UnicodeEncodeError as error:
        raise PatchConflict("The value has half of a surrogate pair, which is not UTF-8") from error


def _number(number: Any) -> msgspec.Raw:
    return msgspec.Raw(number.text.encode())


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_number)
