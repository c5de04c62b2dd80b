"""Make pages of listings, for storages that can read their keys in order from any key.

A listing may go in reverse, begin after any name, and show folders instead of the keys in them.
All that a storage has to do is to read some keys of a range.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec

from ..entry import KeyInfo
from ..errors import InputError
from ..operations import List, Page

FIRST_KEYS: Final = 16
"""How many keys the first read of a listing by folders asks for."""


class KeyRange(msgspec.Struct, frozen=True, gc=False):
    """The keys from `start` up to `end`, but not `end` itself, in the order of UTF-8 bytes."""

    start: str
    end: str | None
    """`None` for a range without an end."""
    is_after_start: bool = False
    """Whether `start` itself is not in the range."""

    def __contains__(self, key: str) -> bool:
        is_after = key > self.start if self.is_after_start else key >= self.start
        return is_after and (self.end is None or key < self.end)

    def past(self, key: str, *, is_reverse: bool) -> "KeyRange":
        """Return what is left of the range after a listing has reached this key."""
        if is_reverse:
            return KeyRange(self.start, key, self.is_after_start)
        return KeyRange(key, self.end, is_after_start=True)


ReadKeys = Callable[[KeyRange, int], Awaitable[tuple[Sequence[KeyInfo], KeyRange | None]]]
"""Reads some keys of a range, at least one and about as many as the number says.

Returns them in the order of the listing, with the rest of the range, which is `None` if no keys are
left. A read that meets many expired entries may return fewer keys or none, with the rest.
"""


async def list_page(operation: List, read: ReadKeys, *, most_reads: int | None = None) -> Page:
    """Return a page of a listing.

    Once it took `most_reads` reads, the page ends early, but never without an item. Raises
    `InputError` for a cursor of another listing.
    """
    page = _Making(operation)
    reads = 0
    for keys in ranges_of(operation):
        rest = page.without_last_folder(keys)
        while rest is not None:
            if most_reads is not None and reads >= most_reads and page.last is not None:
                return page.made(page.last)
            infos, rest = await read(rest, page.wanted)
            reads += 1
            if not page.add(infos):
                return page.made(page.last)
            if rest is not None:
                rest = page.without_last_folder(rest)
    return page.made(None)


def end_of_prefix(prefix: str) -> str | None:
    """Return the first string after all that start with the prefix; `None` if there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    # UTF-8 has no surrogates: U+E000 comes after U+D7FF.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)


def range_of_prefix(prefix: str) -> KeyRange:
    """Return the range of the keys with a prefix."""
    return KeyRange(prefix, end_of_prefix(prefix))


class _Making:
    """Collects the items of a page: keys and folders."""

    def __init__(self, operation: List) -> None:
        self._operation = operation
        self._keys: list[KeyInfo] = []
        self._folders: list[str] = []
        self._folder: str | None = None
        """The last item, if it is a folder."""
        self._ahead = min(FIRST_KEYS, operation.limit + 1)
        self.last: str | None = None
        """The name of the last item."""

    @property
    def wanted(self) -> int:
        """Return how many keys to read next; one more than fits says that the page has an end."""
        if self._operation.delimiter is None:
            return self._operation.limit + 1 - len(self._keys)
        return self._ahead

    def add(self, infos: Sequence[KeyInfo]) -> bool:
        """Add the items of these keys. Return whether all of them fit."""
        new = 0
        for info in infos:
            folder = _folder_of(info.key, self._operation)
            if folder is not None and folder == self._folder:
                continue
            if len(self._keys) + len(self._folders) == self._operation.limit:
                return False
            if folder is None:
                self._keys.append(info)
            else:
                self._folders.append(folder)
            self._folder = folder
            self.last = info.key if folder is None else folder
            new += 1
        # Small folders cost fewer reads if many keys are read at once, large folders if few are.
        if 2 * new >= self._ahead:
            self._ahead = min(2 * self._ahead, self._operation.limit + 1)
        else:
            self._ahead = max(self._ahead // 2, 1)
        return True

    def without_last_folder(self, keys: KeyRange) -> KeyRange | None:
        """Return a range without the keys of the last folder; `None` if nothing is left."""
        if self._folder is not None:
            return _skip(keys, self._folder, is_reverse=self._operation.is_reverse)
        return keys

    def made(self, cursor: str | None) -> Page:
        """Return the page."""
        return Page(self._keys, cursor, tuple(self._folders))


def _folder_of(name: str, operation: List) -> str | None:
    """Return the folder in which a listing shows a key, `None` if it shows the key itself."""
    if operation.delimiter is None:
        return None
    at = name.find(operation.delimiter, len(operation.prefix))
    return None if at < 0 else name[: at + len(operation.delimiter)]


def ranges_of(operation: List) -> Iterator[KeyRange]:
    """Yield the ranges that are still to be listed, in the order of the listing."""
    position = _position(operation)
    within = reversed(operation.within) if operation.is_reverse else operation.within
    for prefix in within:
        if prefix.startswith(operation.prefix):
            keys: KeyRange | None = range_of_prefix(prefix)
        elif operation.prefix.startswith(prefix):
            keys = range_of_prefix(operation.prefix)
        else:
            continue
        if keys is not None and position is not None:
            keys = _after(keys, position, operation)
        if keys is not None:
            yield keys


def _position(operation: List) -> str | None:
    """Return the name after which to continue."""
    cursor, start_after = operation.cursor, operation.start_after
    if cursor is None:
        return start_after
    if not cursor.startswith(operation.prefix):
        raise InputError("The cursor is not of a listing with this prefix")
    if start_after not in (None, cursor) and (cursor < start_after) is not operation.is_reverse:
        raise InputError("The cursor is not of a listing that starts after this name")
    return cursor


def _after(keys: KeyRange, position: str, operation: List) -> KeyRange | None:
    """Return the part of a range whose items come after a name in the listing."""
    folder = None
    if position.startswith(operation.prefix):
        folder = _folder_of(position, operation)
    if folder is not None and (not operation.is_reverse or folder == position):
        return _skip(keys, folder, is_reverse=operation.is_reverse)
    if operation.is_reverse:
        # A folder that begins before the position comes after it, with all its keys.
        end = position if folder is None else end_of_prefix(folder)
        return _cut(keys, end=end)
    return _cut(keys, start=position, is_after_start=True)


def _skip(keys: KeyRange, folder: str, *, is_reverse: bool) -> KeyRange | None:
    """Return the part of a range that comes after a folder in the listing."""
    if is_reverse:
        return _cut(keys, end=folder)
    start = end_of_prefix(folder)
    return None if start is None else _cut(keys, start=start)


def _cut(
    keys: KeyRange, *, start: str = "", end: str | None = None, is_after_start: bool = False
) -> KeyRange | None:
    """Return the part of a range from `start` up to `end`; `None` if it is empty."""
    if start < keys.start or (start == keys.start and not is_after_start):
        start, is_after_start = keys.start, keys.is_after_start
    if end is None or (keys.end is not None and keys.end < end):
        end = keys.end
    if end is not None and start >= end:
        return None
    return KeyRange(start, end, is_after_start)
