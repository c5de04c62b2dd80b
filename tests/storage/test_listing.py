"""Test pages of listings against a model, over any keys."""

import asyncio
from collections.abc import Sequence

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workertown_kv.entry import KeyInfo
from workertown_kv.operations import List, Page
from workertown_kv.storage.listing import KeyRange, end_of_prefix, list_page
from workertown_kv.testing.listings import items_of, names_of

# Few letters make many keys with the same beginnings; the others are at the ends of ranges.
TEXTS = st.text("ab/0.\0\ud7ff\ue000\uffff\U0001f600\U0010ffff", max_size=6)
KEYS = st.sets(TEXTS.filter(bool), max_size=30)
DELIMITERS = st.none() | st.sampled_from(["/", "a", "//", "\U0010ffff", "\ud7ff"])


class Reads:
    """Reads from a sorted list of keys, and notes how many keys each read returned."""

    def __init__(self, keys: set[str], operation: List, most: int) -> None:
        self._keys = sorted(keys, key=str.encode, reverse=operation.is_reverse)
        self._is_reverse = operation.is_reverse
        self._most = most
        self.read: list[int] = []

    async def __call__(
        self, keys: KeyRange, wanted: int
    ) -> tuple[Sequence[KeyInfo], KeyRange | None]:
        assert keys.end is None or keys.start < keys.end
        found = [key for key in self._keys if key in keys]
        some = found[: min(wanted, self._most)]
        self.read.append(len(some))
        rest = keys.past(some[-1], is_reverse=self._is_reverse) if len(found) > len(some) else None
        return [KeyInfo(key=key, version="") for key in some], rest


def page_of(keys: set[str], operation: List, *, most: int = 1000) -> tuple[Page, list[int]]:
    reads = Reads(keys, operation, most)
    return asyncio.run(list_page(operation, reads)), reads.read


@given(
    keys=KEYS,
    prefix=TEXTS.map(lambda text: text[:2]),
    start_after=st.none() | TEXTS,
    delimiter=DELIMITERS,
    is_reverse=st.booleans(),
    limit=st.integers(1, 5),
    within=st.sampled_from([("",), ("a", "b"), ("/a", "a/", "a0"), ()]),
    most=st.integers(1, 5),
    most_reads=st.none() | st.integers(1, 3),
)
@example(
    keys={"\ud7ff/a", "\ue000"},
    prefix="",
    start_after=None,
    delimiter="\ud7ff",
    is_reverse=False,
    limit=1,
    within=("",),
    most=1,
    most_reads=None,
)
@settings(max_examples=4 * settings().max_examples)
def test_pages_show_all_items_in_order(
    keys: set[str],
    prefix: str,
    start_after: str | None,
    delimiter: str | None,
    is_reverse: bool,
    limit: int,
    within: tuple[str, ...],
    most: int,
    most_reads: int | None,
) -> None:
    async def check() -> None:
        operation = List(
            "default",
            prefix,
            limit,
            start_after=start_after,
            is_reverse=is_reverse,
            delimiter=delimiter,
            within=within,
        )
        expected = items_of(keys, operation)
        reads = Reads(keys, operation, most)
        found: list[str] = []
        while True:
            page = await list_page(operation, reads, most_reads=most_reads)
            names = names_of(page, is_reverse=is_reverse)
            assert len(names) <= limit
            assert names or page.cursor is None, "an empty page that is not the last"
            found += names
            if page.cursor is None:
                break
            operation = msgspec.structs.replace(operation, cursor=page.cursor)
        assert found == expected

    asyncio.run(check())


@given(prefix=TEXTS, more=TEXTS, other=TEXTS)
def test_the_end_of_a_prefix_is_the_first_key_after_it(prefix: str, more: str, other: str) -> None:
    end = end_of_prefix(prefix)
    assert end is None or (prefix + more).encode() < end.encode()
    if not other.startswith(prefix) and other > prefix:
        assert end is not None
        assert other.encode() >= end.encode()


def test_a_folder_is_skipped_without_reading_its_keys() -> None:
    keys = {f"{folder}/{i:05}" for folder in "abcdefgh" for i in range(1000)}
    for is_reverse in (False, True):
        operation = List("default", "", 1000, is_reverse=is_reverse, delimiter="/")
        page, read = page_of(keys, operation)
        assert (len(page.folders), page.cursor) == (8, None)
        assert sum(read) < 100


def test_small_folders_are_read_many_at_a_time() -> None:
    keys = {f"{i:04}/a" for i in range(1000)}
    page, read = page_of(keys, List("default", "", 1000, delimiter="/"))
    assert len(page.folders) == 1000
    assert len(read) < 10


def test_a_page_has_no_more_reads_than_it_may() -> None:
    keys = {f"{folder:03}/{i:05}" for folder in range(50) for i in range(50)}
    operation = List("default", "", 1000, delimiter="/")
    reads = Reads(keys, operation, 1000)
    page = asyncio.run(list_page(operation, reads, most_reads=7))
    assert len(reads.read) == 7
    assert page.folders
    assert page.cursor == page.folders[-1]
