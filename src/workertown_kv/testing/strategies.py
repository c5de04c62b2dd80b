"""Generate keys and values with Hypothesis."""

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


KEYS: Final = st.sampled_from(ODD_KEYS) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40
)
"""Generates keys: `ODD_KEYS`, and arbitrary Unicode text."""

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
JSON_TEXTS: Final = st.builds(
    json.dumps,
    _JSON_VALUES,
    ensure_ascii=st.booleans(),
    indent=st.sampled_from([None, 0, 2]),
    separators=st.sampled_from([None, (",", ":"), (" , ", " : ")]),
)
"""Generates JSON texts, in the layouts that common writers produce."""
