"""Keep entries in a D1 database, through Cloudflare's REST API."""

import time
from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from ...options import Secret
from ..cloudflare_api.url import checked_token
from ..contract import Capability, Clock
from ..remote_sqlite.d1 import LIMITS, NO_CHANGES
from ..remote_sqlite.gathered import GatheredSqliteStorage
from ..sql.dialects.sqlite import SqliteStatements
from .client import D1Client
from .url import PERMISSION, parse_url

_SQL: Final = SqliteStatements()

# A byte of a value that is not text takes up to four bytes of an answer.
_LIMITS: Final = msgspec.structs.replace(LIMITS, read_bytes=8 * 1024 * 1024, together=50)


class D1Storage(GatheredSqliteStorage):
    """Keeps entries in the database that `url` names: `d1://ACCOUNT/DATABASE`.

    The table is made, and brought up to date, when the storage is opened. The binding of a Worker
    reads and writes the same entries.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.ATOMIC_BATCHES: "Cloudflare's REST API does not promise that the statements of "
        "a request are one transaction. The binding of a Worker has atomic batches.",
        Capability.CHANGES: NO_CHANGES,
    }

    probe_seconds = 60.0
    """A probe every minute, since Cloudflare charges for rows and limits requests."""

    def __init__(self, url: str, *, token: Secret | None = None, clock: Clock = time.time) -> None:
        settings = parse_url(url)
        client = D1Client(settings, checked_token(token, PERMISSION))
        super().__init__(client, _SQL, _LIMITS, sweep_seconds=settings.sweep, clock=clock)
