"""Decode listings from the query of a request, and encode their pages to answers."""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....entry import Entry, KeyInfo
from ....http.answer import Answer
from ....http.query import bad_query, is_true
from ....operations import List, Page
from ....wire.cursors import decode_cursor, encode_cursor, kind_of_listing
from ....wire.values import has_space_around
from ...schemas import ExpiresAt, Key, Metadata, SpacedText, Value, Version
from ..envelope import object_answer
from ..shown_expiry import shown_expiry

MOST_KEYS: Final = 1000
"""The largest page of a listing, and the default."""

WHAT_TO_LIST: Final = (
    "prefix",
    "limit",
    "cursor",
    "start_after",
    "reverse",
    "delimiter",
    "values",
    "read_bytes",
)
"""The parameters of a listing."""


class ListedKey(Struct, omit_defaults=True, gc=False):
    """A key, with the version, the expiry and the metadata of its value."""

    key: Key
    version: Version
    expires_at: ExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    value: Annotated[Value, Meta(description="With values: the value")] | UnsetType = UNSET
    base64: (
        Annotated[str, Meta(description="With values: the bytes of a value that is not JSON")]
        | UnsetType
    ) = UNSET
    text: SpacedText | UnsetType = UNSET


class KeyPage(Struct, omit_defaults=True, gc=False):
    """A page of keys and folders, each in the order of their bytes in UTF-8, or in reverse."""

    keys: list[ListedKey]
    cursor: Annotated[str | None, Meta(description="Asks for the next page; null on the last")]
    complete: Annotated[bool, Meta(description="Whether this is the last page")]
    prefixes: (
        Annotated[
            list[str], Meta(description="With a delimiter: the folders, which end in the delimiter")
        ]
        | UnsetType
    ) = UNSET


def decode_list(namespace: str, parameters: Mapping[str, str], within: Sequence[str] = ()) -> List:
    """Return the listing for the parameters of a query, and the prefixes `within` which it is."""
    is_reverse, delimiter = is_true(parameters, "reverse"), parameters.get("delimiter")
    if delimiter == "":
        raise bad_query("delimiter", "Expected the text that ends the name of a folder, such as /")
    return List(
        namespace,
        parameters.get("prefix", ""),
        _limit(parameters.get("limit")),
        cursor_in(parameters, kind_of_listing(is_reverse, delimiter)),
        # Without a name, the listing begins at its start.
        start_after=parameters.get("start_after") or None,
        is_reverse=is_reverse,
        delimiter=delimiter,
        within=_apart(within) if within else ("",),
    )


def encode_page(
    operation: List, page: Page, *, with_values: bool = False, is_precise: bool = False
) -> Answer:
    """Return the answer with a page of keys or entries."""
    kind = kind_of_listing(operation.is_reverse, operation.delimiter)
    cursor = encode_cursor(kind, page.cursor)
    keys = [_listed(info, with_values, is_precise) for info in page.keys]
    folders = UNSET if operation.delimiter is None else list(page.folders)
    return object_answer(KeyPage(keys, cursor, cursor is None, folders))


def values_bytes(page: Page) -> int:
    """Return how many bytes the values of a page have."""
    return sum(len(info.value) for info in page.keys if isinstance(info, Entry))


def cursor_in(parameters: Mapping[str, str], kind: str) -> str | None:
    """Return the cursor of the storage in the query of a request for a page of this kind."""
    text = parameters.get("cursor")
    try:
        return None if text is None else decode_cursor(kind, text)
    except ValueError as error:
        raise bad_query("cursor", str(error)) from None


def read_bytes_in(parameters: Mapping[str, str], most: int) -> int:
    """Return how many bytes the values of a page may have, at most `most`."""
    text = parameters.get("read_bytes")
    return most if text is None else min(whole_number(text, "read_bytes"), most)


def whole_number(text: str, name: str, least: int = 0, most: int = 10**15) -> int:
    """Return the whole number in a parameter."""
    if text.isascii() and text.isdigit() and len(text) <= 15 and least <= int(text) <= most:
        return int(text)
    raise bad_query(name, f"Expected a whole number from {least:,} to {most:,}")


def _listed(info: KeyInfo, with_value: bool, is_precise: bool) -> ListedKey:
    listed = ListedKey(
        info.key,
        info.version,
        shown_expiry(info.expires_at, is_precise=is_precise),
        UNSET if info.metadata is None else Raw(info.metadata),
    )
    if with_value and isinstance(info, Entry):
        if not info.is_json:
            listed.base64 = base64.b64encode(info.value).decode()
        elif is_precise and has_space_around(info.value):
            listed.text = info.value.decode()
        else:
            listed.value = Raw(info.value)
    return listed


def _limit(text: str | None) -> int:
    return MOST_KEYS if text is None else whole_number(text, "limit", 1, MOST_KEYS)


def _apart(prefixes: Sequence[str]) -> tuple[str, ...]:
    """Return the prefixes in order, without those that begin with another."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)
