"""Read the values that watchers want with their changes."""

from collections.abc import Callable, Sequence
from typing import Final

from ..entry import Entry
from ..errors import ValueTooLarge
from ..operations import Batch, Event, Get
from ..storage import Storage
from .published import VALUE_BYTES, Published

VALUES_AT_ONCE: Final = 16
"""How many values are read at once for watchers who want values: at most 1 MiB."""


async def load_values(
    storage: Storage,
    published: Sequence[Published],
    loaded: Callable[[int], None] = lambda _: None,
) -> None:
    """Read the values that still have the version of their change.

    Calls `loaded` again and again, with the size of the values that were read meanwhile.
    """
    wanted = [one for one in published if one.change.event in (Event.SET, Event.TOUCH)]
    for start in range(0, len(wanted), VALUES_AT_ONCE):
        some = wanted[start : start + VALUES_AT_ONCE]
        gets = [Get(one.change.namespace, one.change.key) for one in some]
        batch = Batch(gets, read_bytes=VALUES_AT_ONCE * VALUE_BYTES)
        for one, found in zip(some, await storage.batch(batch), strict=True):
            change, entry = one.change, found
            if isinstance(entry, ValueTooLarge):
                entry = await storage.get(Get(change.namespace, change.key))
            if isinstance(entry, Entry) and entry.version == change.version:
                one.take(entry)
        loaded(sum(len(one.value or b"") for one in some))
