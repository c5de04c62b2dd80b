"""Change the layout of the data that is in a Redis."""

from collections.abc import Sequence
from typing import Final

from ...errors import StorageError
from ..contract import Migration
from .call import Call
from .engine import Session
from .layout import LAYOUT, layout_key

_NAMES: Final = {2: "0001_changes"}
"""The migration to each layout after the first."""


async def migrate(session: Session, to: int | None) -> Sequence[Migration]:
    """Bring the data to a layout. `to` is the number of migrations that have run afterwards."""
    layout = session.layout
    aim = LAYOUT if to is None else to + 1
    if not 1 <= aim <= LAYOUT:
        raise StorageError(f"There are {len(_NAMES)} migrations; {to} of them cannot have run")
    if aim == layout.version:
        return ()
    name = layout_key(layout.prefix)
    calls = [Call(layout.slot_of(name), ("HSET", name, "version", aim), writes=True)]
    if aim < layout.version:
        calls += [
            Call(layout.slot(bucket), ("DEL", layout.log(bucket)), writes=True)
            for bucket in range(layout.buckets)
        ]
    await session.all(calls)
    direction = "up" if aim > layout.version else "down"
    return [Migration(_NAMES[max(aim, layout.version)], direction)]
