"""Move a clock in tests instead of waiting."""


class MovedClock:
    """Returns the same time until `move` is called; pass it to a storage as `clock`."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        """Move the time forward, or backward if `seconds` is negative."""
        self.now += seconds
