"""Keep JSON numbers as they are written: a float would lose digits."""

import re
from decimal import Decimal, InvalidOperation
from typing import Final

MOST_WHOLE: Final = 2**53 - 1
"""The largest whole number that every reader of JSON keeps exactly (RFC 8259, 6)."""

SPACE: Final = b" \t\n\r"
"""The white space that may be around JSON."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_LONGEST: Final = 400
"""More characters than any useful number has; `1e400` is beyond every float."""


class Number:
    """A number in a tree of values, which keeps its text and is compared by its value."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Number):
            return NotImplemented
        return self.text == other.text or _value(self.text) == _value(other.text)

    def __hash__(self) -> int:
        return hash(_value(self.text))

    def __deepcopy__(self, memo: object) -> "Number":
        return self

    def __repr__(self) -> str:
        return self.text


def _value(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits
        return text


def exact(text: bytes) -> int | Decimal | None:
    """Return the value of a JSON number; `None` if the text is none, or is too long to count with.

    A number without a fraction and an exponent is an `int`.
    """
    text = text.strip(SPACE)
    if len(text) > _LONGEST:
        return None
    match = _NUMBER.fullmatch(text.decode("latin-1"))
    if match is None:
        return None
    if match[1] is None and match[2] is None:
        return int(match[0])
    number = _value(match[0])
    return number if isinstance(number, Decimal) and abs(number.adjusted()) <= _LONGEST else None
