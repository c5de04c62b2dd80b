"""Define how changes are recorded: by triggers, which the database runs for every writer."""

from collections.abc import Sequence
from typing import Final, NamedTuple

EXPIRY_MARGIN_SECONDS: Final = 10
"""How long after its end a lifetime is still looked for, if its row was locked at its end."""


class Recorder(NamedTuple):
    """The triggers that record changes; `{table}` is the name of the table of entries."""

    create: Sequence[str]
    """Statements that create the triggers, or replace them, and begin a log."""
    drop: Sequence[str]
    """Statements that remove the triggers, and end the log."""
