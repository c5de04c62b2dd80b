"""Hypothesis strategies for keys and values."""

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
"""Keys that some storage, client or proxy is known to get wrong."""


def keys() -> st.SearchStrategy[str]:
    """Return a strategy for keys: `ODD_KEYS`, and arbitrary Unicode text."""
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
    return st.sampled_from(ODD_KEYS) | text


# Made only once: Hypothesis analyses each new strategy again.
_TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]))
_JSON_VALUES: Final[st.SearchStrategy[object]] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXT, inner, max_size=5),
    max_leaves=10,
)
_JSON_TEXTS: Final = st.builds(
    json.dumps,
    _JSON_VALUES,
    ensure_ascii=st.booleans(),
    indent=st.sampled_from([None, 0, 2]),
    separators=st.sampled_from([None, (",", ":"), (" , ", " : ")]),
)


def json_values() -> st.SearchStrategy[object]:
    """Return a strategy for JSON values, as Python objects."""
    return _JSON_VALUES


def json_texts() -> st.SearchStrategy[str]:
    """Return a strategy for JSON texts, in the layouts that common writers produce."""
    return _JSON_TEXTS
