"""How deep JSON is nested, found without decoding it.

Every Python, and every library that reads JSON, stops at a depth of its own. With one limit, a
text that one of them accepts is accepted by all.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

JSON_DEPTH: Final = 512
"""About half of what Python 3.11 can read; later versions can read more."""

_PART_BYTES: Final = 1 << 16
_BLOCK_BYTES: Final = 256
_AS_ARRAYS: Final = bytes.maketrans(b"{}", b"[]")
_PLAIN: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = {ord("["): 1, ord("]"): -1}


def too_deep(most: int) -> str:
    """Return the sentence for JSON that is nested deeper than this."""
    return f"The JSON is nested deeper than {most:,}; expected at most {most:,} arrays and objects"


def is_deeper(text: bytes | bytearray, most: int) -> bool:
    """Return whether more than `most` arrays and objects stand inside one another."""
    return any(deeper_parts(text, most))


def deeper_parts(text: bytes | bytearray, most: int) -> Iterator[bool]:
    """Yield, after each part of the text, whether it was too deep.

    A text with few brackets cannot be deep, and has no parts.
    """
    if text.count(b"[") + text.count(b"{") <= most:
        return
    depth = 0
    for brackets in _brackets(text):
        for start in range(0, len(brackets), _BLOCK_BYTES):
            block = brackets[start : start + _BLOCK_BYTES]
            opened = block.count(b"[")
            if depth + opened > most:
                deepest = max(accumulate(map(_STEPS.__getitem__, block)))
                if depth + deepest > most:
                    yield True
                    return
            depth += 2 * opened - len(block)
        yield False


def _brackets(text: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Yield the brackets that stand outside of strings, all of them square, in parts."""
    half = b""
    quote = b""
    for start in range(0, len(text), _PART_BYTES):
        part = half + text[start : start + _PART_BYTES]
        half = b""
        if b"\\" in part:
            if (len(part) - len(part.rstrip(b"\\"))) % 2:
                # The other half of the escape is in the next part.
                part, half = part[:-1], b"\\"
            part = part.replace(rb"\\", b"").replace(rb"\"", b"")
        marks = (quote + part).translate(_AS_ARRAYS, _PLAIN)
        # What is left of a string without brackets is two quotes.
        pieces = marks.replace(b'""', b"").split(b'"')
        yield b"".join(pieces[::2])
        quote = b"" if len(pieces) % 2 else b'"'
