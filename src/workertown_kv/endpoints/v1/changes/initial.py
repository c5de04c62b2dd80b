"""Read the entries that are there already, as changes that set them."""

from collections.abc import AsyncIterator, Sequence

from ....changes import Interest, Published, published_entries
from ....operations import List
from ....storage import Storage
from .watch import Position


async def initial_pages(
    storage: Storage, interest: Interest, begin: Position, *, limit: int
) -> AsyncIterator[tuple[Sequence[Published], Position]]:
    """Read the entries page by page, without values, each page with the position after it.

    `storage` is as the user may use it. A position without a prefix is after all entries.
    """
    assert interest.namespace is not None
    prefixes = interest.prefixes
    index, page_cursor = prefixes.index(begin.prefix or prefixes[0]), begin.page
    while index < len(prefixes):
        prefix = prefixes[index]
        page = await storage.list(List(interest.namespace, prefix, limit, page_cursor))
        page_cursor = page.cursor
        if page_cursor is None:
            index += 1
        is_last = index == len(prefixes)
        after = None if is_last else prefixes[index]
        yield (
            published_entries(interest.namespace, page.keys),
            Position(begin.cursor, after, page_cursor),
        )
