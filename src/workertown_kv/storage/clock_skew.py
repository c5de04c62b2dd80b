"""Warn if the clock of this machine and the clock of the engine differ."""

from collections.abc import Sequence
from typing import Final

from .contract import SWEEP_MARGIN_SECONDS

SKEW_SECONDS: Final = 2.0
"""The least difference that is worth a warning."""


def skew_warnings(engine: str, theirs: float, before: float, after: float) -> Sequence[str]:
    """Return warnings for a time that the engine gave between two times of this machine."""
    ours = min(max(theirs, before), after)
    ahead = ours - theirs
    if abs(ahead) <= SKEW_SECONDS:
        return ()
    side = "ahead of" if ahead > 0 else "behind"
    sentence = (
        f"The clock of this machine is {abs(ahead):,.1f} s {side} that of {engine}, so entries "
        "expire at a wrong time here; set the clocks of all machines by NTP. A server that is "
        f"ahead by more than {SWEEP_MARGIN_SECONDS:g} s removes entries that others still have."
    )
    return [sentence]
