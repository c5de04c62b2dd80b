"""Decode listings from the query of a request, and encode their pages to answers."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....entry import Entry, KeyInfo
from ....http.answer import Answer
from ....http.query import bad_query, is_true
from ....operations import List, Page
from ...schemas import ExpiresAt, Key, Metadata, Value, Version
from ..envelope import object_answer
from .expiry import shown_expiry

MOST_KEYS: Final = 1000
"""The largest page of a listing, and the default."""

WHAT_TO_LIST: Final = ("prefix", "limit", "cursor", "start_after", "reverse", "delimiter", "values")
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


def decode_list(namespace: str, parameters: Mapping[str, str]) -> List:
    """Return the listing for the parameters of a query."""
    is_reverse, delimiter = is_true(parameters, "reverse"), parameters.get("delimiter")
    if delimiter == "":
        raise bad_query("delimiter", "Expected the text that ends the name of a folder, such as /")
    return List(
        namespace,
        parameters.get("prefix", ""),
        _limit(parameters.get("limit")),
        decode_cursor(_kind(is_reverse, delimiter), parameters.get("cursor")),
        # Without a name, the listing begins at its start.
        start_after=parameters.get("start_after") or None,
        is_reverse=is_reverse,
        delimiter=delimiter,
    )


def encode_page(
    operation: List, page: Page, *, with_values: bool = False, is_precise: bool = False
) -> Answer:
    """Return the answer with a page of keys or entries."""
    cursor = encode_cursor(_kind(operation.is_reverse, operation.delimiter), page.cursor)
    keys = [_listed(info, with_values, is_precise) for info in page.keys]
    folders = UNSET if operation.delimiter is None else list(page.folders)
    return object_answer(KeyPage(keys, cursor, cursor is None, folders))


def values_bytes(page: Page) -> int:
    """Return how many bytes the values of a page have."""
    return sum(len(info.value) for info in page.keys if isinstance(info, Entry))


# A cursor of the storage may be any text; base64 makes it safe in every URL. A cursor of another
# kind than a plain listing begins with its kind and a dot, so that no cursor is taken for another.


def encode_cursor(kind: str, cursor: str | None) -> str | None:
    """Return a cursor of a storage as clients get it."""
    if cursor is None:
        return None
    return f"{_encoded(kind)}.{_encoded(cursor)}" if kind else _encoded(cursor)


def decode_cursor(kind: str, text: str | None) -> str | None:
    """Return the cursor of the storage in a cursor of this kind."""
    if text is None:
        return None
    made_for, dot, rest = text.rpartition(".")
    if made_for != _encoded(kind) or (dot and not kind):
        raise bad_query("cursor", "Expected the cursor of a page with the same other parameters")
    try:
        padded = rest.encode("ascii") + b"=" * (-len(rest) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        raise bad_query("cursor", "Expected the cursor of the page before") from None


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _kind(is_reverse: bool, delimiter: str | None) -> str:
    if is_reverse:
        return f"reverse{delimiter or ''}"
    return "" if delimiter is None else f"forward{delimiter}"


def _listed(info: KeyInfo, with_value: bool, is_precise: bool) -> ListedKey:
    listed = ListedKey(
        info.key,
        info.version,
        shown_expiry(info.expires_at, is_precise=is_precise),
        UNSET if info.metadata is None else Raw(info.metadata),
    )
    if with_value and isinstance(info, Entry):
        if info.is_json:
            listed.value = Raw(info.value)
        else:
            listed.base64 = base64.b64encode(info.value).decode()
    return listed


def _limit(text: str | None) -> int:
    if text is None:
        return MOST_KEYS
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_KEYS:
        return int(text)
    raise bad_query("limit", f"Expected a whole number from 1 to {MOST_KEYS:,}")
