"""Read whole listings, and say what they should show."""

from collections.abc import Iterable, Sequence

import msgspec

from ..entry import KeyInfo
from ..operations import List, Page
from ..storage import Storage


async def all_pages(storage: Storage, operation: List) -> tuple[list[str], list[KeyInfo]]:
    """Read all pages of a listing. Returns the names of its items, and its keys."""
    names: list[str] = []
    infos: list[KeyInfo] = []
    while True:
        page = await storage.list(operation)
        found = names_of(page, is_reverse=operation.is_reverse)
        assert len(found) <= operation.limit
        assert found or page.cursor is None, "only the last page may be empty"
        names += found
        infos += page.keys
        if page.cursor is None:
            return names, infos
        operation = msgspec.structs.replace(operation, cursor=page.cursor)


def names_of(page: Page, *, is_reverse: bool = False) -> list[str]:
    """Return the names of the keys and folders on a page, in the order of the listing."""
    keys = [info.key for info in page.keys]
    for names in (keys, page.folders):
        assert list(names) == sorted(names, key=str.encode, reverse=is_reverse)
    return sorted([*keys, *page.folders], key=str.encode, reverse=is_reverse)


def items_of(keys: Iterable[str], operation: List) -> Sequence[str]:
    """Return the names that all pages of a listing of these keys should show."""
    names = {
        _name_of(key, operation)
        for key in keys
        if key.startswith(operation.prefix) and key.startswith(operation.within)
    }
    after = operation.start_after
    if after is not None:
        names = {name for name in names if name != after and (name < after) is operation.is_reverse}
    return sorted(names, key=str.encode, reverse=operation.is_reverse)


def _name_of(key: str, operation: List) -> str:
    """Return the name of the item that shows a key: the key, or its folder."""
    if operation.delimiter is None:
        return key
    folder, delimiter, _ = key.removeprefix(operation.prefix).partition(operation.delimiter)
    return operation.prefix + folder + delimiter
