"""Define the cursors of changes."""

import re
from typing import Final

import msgspec

from ...errors import InputError

_TEXT: Final = re.compile("([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,9})")


class Position(msgspec.Struct, frozen=True):
    """A position in the log of changes."""

    log: int
    """The revision at which the log began."""
    revision: int
    """The revision of the last record that was read whole."""
    records: int
    """How many records the log had up to there."""
    skipped: int = 0
    """How many changes of the following records were read."""

    @property
    def cursor(self) -> str:
        """Return the cursor."""
        return f"{self.log}-{self.revision}-{self.records}-{self.skipped}"


def parsed_cursor(text: str) -> Position:
    """Read a cursor. Raises `InputError` for any other text."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InputError("This is no cursor of changes; expected a cursor from an earlier page")
    return Position(*map(int, found.groups()))
