"""Keep entries in a table of a MySQL or MariaDB database."""

import time
from typing import Final

from ...errors import MissingExtra, OptionsError
from ..contract import Clock
from ..sql.changes.mysql import RECORDER
from ..sql.database import Database
from ..sql.dialects.mysql import MIGRATIONS, RECORD, MysqlStatements
from ..sql.schema import Schema
from ..sql.session import Session
from ..sql.storage import SqlStorage
from ..sql.tls import tls_context
from ..sql.url import parse_url
from .changes import MysqlChanges

SCHEMES: Final = "mysql|mariadb"
PORT: Final = 3306


class MysqlStorage(SqlStorage):
    """Keeps entries in the database that a URL names, such as `mysql://kv@localhost/kv`.

    `docs/storages/mysql.md` has the parts of the URL.
    """

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        parts = parse_url(url, SCHEMES, PORT)
        if parts.parameters.sslmode in ("allow", "prefer"):
            raise OptionsError(
                f"sslmode in the URL of the database is {parts.parameters.sslmode!r}; "
                "expected disable, require, verify-ca or verify-full for MySQL"
            )
        try:
            from .connecting import connect  # noqa: PLC0415  (other storages do not need the driver)
        except ModuleNotFoundError as error:
            raise MissingExtra("MySQL", "asyncmy>=0.2.18,<0.3") from error
        encryption = tls_context(parts.parameters)
        table = parts.parameters.table

        async def connected(host: str, port: int, *, patient: bool) -> Session:
            return await connect(host, port, parts, encryption, patient=patient)

        super().__init__(
            Database("MySQL", parts, connected, Schema(table, RECORD, MIGRATIONS, RECORDER), clock),
            MysqlStatements(table),
            MysqlChanges,
            clock=clock,
        )
