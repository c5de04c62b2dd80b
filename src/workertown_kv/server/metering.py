"""Hold the numbers of a process, whichever server of the process counts now."""

import platform

from ..access import RequestCounts
from ..meters.board import Board
from ..meters.catalogue import BUILD
from ..meters.metric import Measurement
from ..meters.publisher import Publisher
from ..package_version import __version__
from ..storage import Storage


class Metering:
    """The sheet of a process, and the sheets of the other workers.

    A server that replaces another in the same process goes on with its sheet.
    """

    def __init__(self, board: Board, worker: int = 0) -> None:
        self.board = board
        self.sheet = board.workers[worker]
        self.requests = RequestCounts(self.sheet)

    def publisher(self, storage: Storage) -> Publisher:
        """Return what publishes the numbers of a server with this storage."""
        kind = type(storage).__name__.removesuffix("Storage").lower()
        build = Measurement(BUILD, 1, (__version__, platform.python_version(), kind))
        return Publisher(self.sheet, [lambda: [build]])
