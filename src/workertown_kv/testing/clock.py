"""Time that is moved instead of waited for."""


class MovedClock:
    """A clock that stands still until it is moved; give it to a storage as `clock`."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        """Go forward, or back where the seconds are negative."""
        self.now += seconds
