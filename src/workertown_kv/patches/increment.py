"""Add to a number, exactly."""

import math
from decimal import Context, Decimal
from typing import Final

import msgspec

from ..errors import PatchConflict
from .number import MOST_WHOLE, exact

_DECIMAL: Final = Context(prec=17)
"""As many digits as a float needs; unlike floats, 0.1 and 0.2 make 0.3."""

Amount = int | Decimal


class Increment(msgspec.Struct, frozen=True, kw_only=True):
    """Adds `by` to a number, or to `initial` if there is none, between `least` and `most`."""

    by: Amount
    initial: Amount = 0
    least: Amount | None = None
    most: Amount | None = None

    @property
    def has_no_room(self) -> bool:
        """Return whether no number is between the bounds."""
        return self.least is not None and self.most is not None and self.least > self.most

    @property
    def may_begin(self) -> bool:
        """Return whether a key without a value gets a number."""
        try:
            self.of(None)
        except PatchConflict:
            return False
        return True

    def of(self, text: bytes | None) -> bytes:
        """Return the text of the new number. Raises `PatchConflict` if there can be none."""
        present = self.initial if text is None else exact(text)
        if present is None:
            raise PatchConflict("The value is no number that can be counted with")
        if isinstance(present, int) and isinstance(self.by, int):
            number: Amount = present + self.by
            fits = -MOST_WHOLE <= number <= MOST_WHOLE
        else:
            number = _DECIMAL.add(Decimal(present), Decimal(self.by))
            fits = math.isfinite(float(number))
        if not fits:
            raise PatchConflict(
                f"The number would be {_shown(number)}; a whole number is exact between "
                f"{-MOST_WHOLE} and {MOST_WHOLE}"
            )
        if self.least is not None and number < self.least:
            raise PatchConflict(f"The number would be {_shown(number)}, below min {self.least}")
        if self.most is not None and number > self.most:
            raise PatchConflict(f"The number would be {_shown(number)}, above max {self.most}")
        return str(number).encode()


def _shown(number: Amount) -> str:
    return str(number)[:40]
