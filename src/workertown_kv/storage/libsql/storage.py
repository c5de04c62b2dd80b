"""Keep entries in a libSQL database, such as one at Turso."""

import time
from collections.abc import Mapping
from typing import ClassVar, Final

from ...options import Secret
from ..contract import Capability, Clock
from ..remote_sqlite.database import Limits
from ..remote_sqlite.gathered import GatheredSqliteStorage
from ..sql.dialects.sqlite import LibsqlStatements
from .client import LibsqlClient
from .url import parse_url

LIMITS: Final = Limits(
    engine="libSQL",
    # A server sends at most 10,000,000 bytes in an answer; the rest is for the other columns.
    value_bytes=9_900_000,
    read_bytes=9_900_000,
    together=100,
    written_bytes=4 * 1024 * 1024,
)
_SQL: Final = LibsqlStatements()


class LibsqlStorage(GatheredSqliteStorage):
    """Keeps entries in the database that `url` names: `libsql://HOST`.

    The table is made, and brought up to date, when the storage is opened. A write is as durable as
    the server makes it.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.CHANGES: "libSQL would have to be polled, and Turso charges for each row.",
    }

    probe_seconds = 60.0
    """A probe every minute, since Turso charges for rows that are read."""

    def __init__(self, url: str, *, token: Secret | None = None, clock: Clock = time.time) -> None:
        settings = parse_url(url, token)
        super().__init__(
            LibsqlClient(settings, token), _SQL, LIMITS, sweep_seconds=settings.sweep, clock=clock
        )
