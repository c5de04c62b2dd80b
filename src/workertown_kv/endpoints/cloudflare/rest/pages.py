"""Return pages of lists by their number."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ....errors import InputError
from ....http.answer import Answer
from .envelope import answer_with

_PER_PAGE: Final = 20
_MOST_PER_PAGE: Final = 1000


class PageInfo(msgspec.Struct, frozen=True, gc=False):
    """What is to be known of a page of a list."""

    page: Annotated[int, Meta(description="The number of the page")]
    per_page: Annotated[int, Meta(description="How many items a page has at most")]
    count: Annotated[int, Meta(description="How many items this page has")]
    total_count: Annotated[int, Meta(description="How many items there are")]
    total_pages: Annotated[int, Meta(description="How many pages there are")]


def encode_list(asked: Mapping[str, str], found: Sequence[object]) -> Answer:
    """Return the page that the query asks for; past the last page it is empty."""
    page = _number(asked.get("page"), "page", 1, None)
    per_page = _number(asked.get("per_page"), "per_page", _PER_PAGE, _MOST_PER_PAGE)
    start = (page - 1) * per_page
    shown = found[start : start + per_page]
    info = PageInfo(page, per_page, len(shown), len(found), -(-len(found) // per_page))
    return answer_with(shown, info=info)


def _number(text: str | None, name: str, default: int, most: int | None) -> int:
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= 1:
        return int(text) if most is None else min(int(text), most)
    raise InputError(f"Invalid {name} of {text[:20]}. Expected a whole number of at least 1.")
