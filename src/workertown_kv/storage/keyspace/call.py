"""Define a command for Redis, whichever way it is sent."""

from collections.abc import Sequence

import msgspec

from .scripts import Script

Argument = str | bytes | int


class Call(msgspec.Struct, frozen=True):
    """A command, whose keys are all in one slot."""

    slot: int
    arguments: Sequence[Argument]
    """The words of the command; for a script, the words after its digest."""
    script: Script | None = None
    writes: bool = False
    """Whether it must not be sent again if its write may have happened."""

    def command(self, *, by_text: bool = False) -> Sequence[Argument]:
        """Return the words to send. `by_text` is for a script that Redis does not know yet."""
        if self.script is None:
            return self.arguments
        if by_text:
            return ("EVAL", self.script.text, *self.arguments)
        return ("EVALSHA", self.script.digest, *self.arguments)


def script_call(
    slot: int,
    script: Script,
    keys: Sequence[bytes],
    arguments: Sequence[Argument] = (),
    *,
    writes: bool = False,
) -> Call:
    """Make the call of a script."""
    return Call(slot, (len(keys), *keys, *arguments), script, writes)
