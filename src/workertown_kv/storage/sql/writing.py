"""Write a statement: its text comes from this program, and its values are separate."""

from collections.abc import Callable, Sequence

Value = bytes | str | int | float | None
"""A value of a statement."""

Statement = tuple[str, Sequence[Value]]
"""The text of a statement, and the values for its marks."""


class Writing:
    """Takes values, and returns the marks that stand for them in the text.

    Engines number their marks or count them, so a text has to be written from left to right.
    """

    def __init__(self, mark: Callable[[int], str]) -> None:
        self._mark = mark
        self._values: list[Value] = []

    def add(self, value: Value) -> str:
        """Return the mark for a value."""
        self._values.append(value)
        return self._mark(len(self._values))

    def row(self, values: Sequence[Value]) -> str:
        """Return the marks for several values, in parentheses."""
        return f"({', '.join([self.add(value) for value in values])})"

    def among(self, values: Sequence[Value]) -> str:
        """Return the marks for the right side of `IN`.

        The last value is repeated until there are 1, 2, 4, 8 … values, so that engines see few
        different texts.
        """
        length = 1 << (len(values) - 1).bit_length()
        return self.row([*values, *[values[-1]] * (length - len(values))])

    def statement(self, text: str) -> Statement:
        """Return the text with all values."""
        return text, self._values
