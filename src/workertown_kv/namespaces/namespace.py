"""Name the default namespace, and check titles."""

from typing import Final

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE, is_unicode
from ..errors import InputError
from ..wire.namespaces import Namespace

TITLE_CHARACTERS: Final = 512
"""The most characters of a title; Workers KV has the same limit."""


DEFAULT: Final = Namespace(DEFAULT_ID, DEFAULT_NAMESPACE)


def check_title(title: str) -> None:
    """Raise `InputError` for a title that no namespace can have."""
    if not 0 < len(title) <= TITLE_CHARACTERS:
        raise InputError(
            f"The title has {len(title):,} characters; expected 1 to {TITLE_CHARACTERS}"
        )
    if not is_unicode(title):
        raise InputError("The title is not Unicode; expected UTF-8")
