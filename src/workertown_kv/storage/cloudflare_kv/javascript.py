"""Find out whether JavaScript, in which Workers read metadata, leaves JSON text as it is."""

import json
import re
from collections.abc import Sequence
from typing import Final

_EXACT: Final = 2**53
_INDEX: Final = re.compile("[0-9]+")


def survives(text: str) -> bool:
    """Return whether JSON text surely stays the same when JavaScript parses it and writes it again.

    Numbers such as `1.0`, escapes, and names that are numbers change.
    """
    try:
        value = json.loads(
            text, parse_int=_whole, parse_float=_fraction, object_pairs_hook=_members
        )
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")) == text
    except (ValueError, RecursionError):
        return False


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > _EXACT:
        raise ValueError
    return number


def _fraction(text: str) -> float:
    number = float(text)
    # Python and JavaScript write all other numbers in different forms.
    if "e" in repr(number) or number.is_integer():
        raise ValueError
    return number


def _members(members: Sequence[tuple[str, object]]) -> dict[str, object]:
    if any(_INDEX.fullmatch(name) for name, _ in members):
        raise ValueError
    return dict(members)
