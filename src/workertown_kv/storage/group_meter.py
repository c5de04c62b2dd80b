"""Count the groups in which operations share a transaction or a round trip."""

from collections.abc import Iterator

from ..meters.catalogue import GROUP_SECONDS, GROUP_SIZE, WAITING
from ..meters.metric import Distribution, Measurement


class GroupMeter:
    """Counts the groups of one kind of operations, such as `writes`."""

    def __init__(self, operations: str) -> None:
        self._labels = (operations,)
        self._sizes = Distribution(GROUP_SIZE)
        self._seconds = Distribution(GROUP_SECONDS)

    def add(self, size: int, seconds: float) -> None:
        """Count a group of so many operations, which took so long."""
        self._sizes.add(size)
        self._seconds.add(seconds)

    def measurements(self, waiting: int) -> Iterator[Measurement]:
        """Return the groups until now, and how many operations wait."""
        yield Measurement(GROUP_SIZE, self._sizes, self._labels)
        yield Measurement(GROUP_SECONDS, self._seconds, self._labels)
        yield Measurement(WAITING, waiting, self._labels)
