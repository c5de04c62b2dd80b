"""Find how deep JSON is nested, without decoding it.

Each version of Python, and each JSON library, has its own limit of depth. A common lower limit
makes all of them accept the same texts.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

JSON_DEPTH: Final = 512
"""About half of the depth that Python 3.11 can read; later versions can read more."""

_PART_BYTES: Final = 1 << 16
_BLOCK_BYTES: Final = 256
_AS_ARRAYS: Final = bytes.maketrans(b"{}", b"[]")
_PLAIN: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = {ord("["): 1, ord("]"): -1}


def too_deep(most: int) -> str:
    """Return the error message for JSON that is nested deeper than `most`."""
    return f"The JSON is nested deeper than {most:,}; expected at most {most:,} arrays and objects"


def is_deeper(text: bytes | bytearray, most: int) -> bool:
    """Return whether more than `most` arrays and objects are nested in each other."""
    return any(deeper_parts(text, most))


def deeper_parts(text: bytes | bytearray, most: int) -> Iterator[bool]:
    """Yield, after each part of the text, whether the nesting is too deep.

    Yields nothing for a text that has too few brackets to be too deep.
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
    """Yield, part by part, the brackets outside of strings, all replaced by square ones."""
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
        # A string without brackets has become two quotes.
        pieces = marks.replace(b'""', b"").split(b'"')
        yield b"".join(pieces[::2])
        quote = b"" if len(pieces) % 2 else b'"'
