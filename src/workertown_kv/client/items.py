"""Iterate over items that come in pages."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Items(AsyncIterator[T], Generic[T]):
    """Yields the items of pages, and reads a page when its first item is needed."""

    def __init__(self, pages: AsyncGenerator[Sequence[T]]) -> None:
        self._pages = pages
        self._page: Iterator[T] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._page:
                return item
            page = await self.next_page()
            if page is None:
                raise StopAsyncIteration
            self._page = iter(page)

    async def next_page(self) -> Sequence[T] | None:
        """Return the items of the next page, or `None` after the last page."""
        return await anext(self._pages, None)

    async def aclose(self) -> None:
        """End the iteration."""
        await self._pages.aclose()
