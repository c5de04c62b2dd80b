"""Keep entries in D1, through its binding, with preconditions and atomic batches."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from ...contract import Capability, Clock
from ...remote_sqlite.d1 import LIMITS, NO_CHANGES
from ...remote_sqlite.storage import RemoteSqliteStorage
from ...sql.dialects.sqlite import SqliteStatements
from .. import bridge
from .database import BoundDatabase

_SQL: Final = SqliteStatements()


class D1BindingStorage(RemoteSqliteStorage):
    """Keeps entries in the table `entry` of the D1 database of a binding.

    The table is made, and brought up to date, when the storage is opened.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {Capability.CHANGES: NO_CHANGES}

    def __init__(self, binding: Any, *, clock: Clock = time.time) -> None:
        database = BoundDatabase(bridge.unwrapped(binding))
        super().__init__(database, _SQL, LIMITS, clock=clock)
