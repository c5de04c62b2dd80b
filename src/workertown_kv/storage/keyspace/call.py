"""A command for Redis, whoever sends it."""

from collections.abc import Sequence

import msgspec

from .scripts import Script

Argument = str | bytes | int


class Call(msgspec.Struct, frozen=True):
    """A command, whose keys are all in one slot."""

    slot: int
    arguments: Sequence[Argument]
    """Of a script: what comes after its digest."""
    script: Script | None = None
    writes: bool = False
    """It must not be sent again where it may have happened."""


def script_call(
    slot: int,
    script: Script,
    keys: Sequence[bytes],
    arguments: Sequence[Argument] = (),
    *,
    writes: bool = False,
) -> Call:
    """A call of a script."""
    return Call(slot, (len(keys), *keys, *arguments), script, writes)
