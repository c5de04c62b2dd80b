"""A warning about clocks that differ: that of this machine and that of the engine."""

from collections.abc import Sequence
from typing import Final

from .contract import SWEEP_MARGIN_SECONDS

SKEW_SECONDS: Final = 2.0
"""Clocks that differ by less are not worth a warning."""


def skew_warnings(engine: str, theirs: float, before: float, after: float) -> Sequence[str]:
    """Compare a time of the engine with those of this machine before and after it was asked."""
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
