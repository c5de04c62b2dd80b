"""Read the log of changes, for the cases."""

from collections.abc import Sequence

from ....operations import Change, ReadChanges
from ....storage import Storage

_Seen = tuple[str, str, str | None]


async def cursor_of_now(storage: Storage) -> str:
    """Return the cursor after which all changes are yet to come."""
    page = await storage.changes(ReadChanges(None))
    assert not page.changes
    return page.cursor


async def changes_since(storage: Storage, cursor: str, limit: int = 1000) -> Sequence[Change]:
    """Return all changes after a cursor, page by page."""
    changes: list[Change] = []
    while True:
        page = await storage.changes(ReadChanges(cursor, limit))
        changes += page.changes
        cursor = page.cursor
        if page.complete:
            return changes


def seen(changes: Sequence[Change], *, versions: bool = True) -> list[_Seen]:
    """Return the event, the key and the version of each change."""
    return [(change.event, change.key, change.version if versions else None) for change in changes]


def by_key(changes: Sequence[Change] | Sequence[_Seen]) -> dict[str, list[_Seen]]:
    """Group changes by their keys, since only the order of the changes of a key is promised."""
    found: dict[str, list[_Seen]] = {}
    for one in changes:
        (event, key, version) = (
            (one.event, one.key, one.version) if isinstance(one, Change) else one
        )
        found.setdefault(key, []).append((event, key, version))
    return found
