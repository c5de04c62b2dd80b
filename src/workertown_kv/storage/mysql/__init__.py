"""Entries in a table of a MySQL or MariaDB database."""

import time
from typing import Final

from ...errors import MissingExtra, OptionsError
from ..contract import Clock
from ..sql import Database, Schema, Session, SqlStorage, parse_url, tls_context
from .schema import MIGRATIONS, RECORD
from .statements import MysqlStatements

__all__ = ["MysqlStorage"]

SCHEMES: Final = "mysql|mariadb"
PORT: Final = 3306


class MysqlStorage(SqlStorage):
    """Entries in the database that a URL names, such as `mysql://kv@localhost/kv`.

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
            raise MissingExtra("MySQL", "asyncmy>=0.2.18") from error
        encryption = tls_context(parts.parameters)
        table = parts.parameters.table

        async def connected(host: str, port: int, *, patient: bool) -> Session:
            return await connect(host, port, parts, encryption, patient=patient)

        super().__init__(
            Database("MySQL", parts, connected, Schema(table, RECORD, MIGRATIONS)),
            MysqlStatements(table),
            clock=clock,
        )
