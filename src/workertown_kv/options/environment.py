"""Read environment variables, and refuse text that nobody types on purpose."""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from ..entry import is_unicode
from ..errors import OptionsError

_INVISIBLE: Final = "\ufeff\u200b\u2060"
_LINE_ENDS: Final = "\r\n"
_LINE_END: Final = " (`echo` and editors put one at the end of a file, `printf %s` does not)"
_NAMES: Final = {
    " ": "a space",
    "\n": "a line feed",
    "\r": "a carriage return",
    "\t": "a tab",
    "\ufeff": "a byte order mark",
}


def text_of(environment: Mapping[str, Any], variable: str, *, lines: bool = False) -> str | None:
    """Return the text of a variable; an empty variable counts as not set.

    `lines` permits several lines, and white space around them. Raises `OptionsError` for text that
    nobody types on purpose.
    """
    text: str | None = environment.get(variable) or None
    if text is not None:
        check_text(f"The variable {variable}", text, lines=lines)
    return text


def check_text(name: str, text: str, *, lines: bool = False) -> None:
    """Refuse characters that nobody types on purpose. Text is compared, and names files, as it is.

    The message never shows the text, which may be a secret.
    """
    if not is_unicode(text):
        raise OptionsError(f"{name} is not UTF-8; expected text in UTF-8")
    if lines or not text:
        return
    if text[-1:].isspace() or text[-1:] in _INVISIBLE:
        raise OptionsError(
            f"{name} ends with {_named(text[-1])}{_LINE_END if text[-1] in _LINE_ENDS else ''}; "
            "expected the same text without it"
        )
    if text[:1].isspace() or text[:1] in _INVISIBLE:
        raise OptionsError(
            f"{name} begins with {_named(text[0])}; expected the same text without it"
        )
    control = next((letter for letter in text if unicodedata.category(letter) == "Cc"), None)
    if control is not None:
        raise OptionsError(
            f"{name} has {_named(control)} in it; expected text without control characters"
        )


def _named(character: str) -> str:
    return _NAMES.get(character, f"the character U+{ord(character):04X}")
