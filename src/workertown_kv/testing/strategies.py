"""Hypothesis strategies for what a store is given."""

import json
from typing import Final

from hypothesis import strategies as st

ODD_KEYS: Final = (
    "a",
    "A",
    "a/b",
    "a//b",
    "/a",
    "a/",
    ".",
    "..",
    "a/../b",
    "a b",
    "a+b",
    "%",
    "%2F",
    "a?b=c#d",
    "\0",
    "a\0b",
    "a\nb",
    "\x7f",
    "é",
    "e\u0301",
    "ß",
    "SS",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\U0001f600",
    "\U0010ffff",
    "'\"`\\;--",
    "NULL",
    "_",
)
"""Keys that have been trouble somewhere."""


def keys() -> st.SearchStrategy[str]:
    """Any key: odd ones, and any text that is UTF-8."""
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
    return st.sampled_from(ODD_KEYS) | text


def json_values() -> st.SearchStrategy[object]:
    """Any JSON value, as Python has it."""
    simple = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]))
    )
    return st.recursive(
        simple,
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
        ),
        max_leaves=10,
    )


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """Any JSON value as text, in one of the forms that writers give it."""
    return json.dumps(
        draw(json_values()),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 0, 2])),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])),
    )
