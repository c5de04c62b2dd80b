"""Connect to MySQL or MariaDB, and set everything on which the storage relies."""

import math
import ssl
from typing import Any, Final

from ...errors import StorageFailure, StorageUnavailable
from ..sql.schema import MIGRATION_SECONDS
from ..sql.url import ServerUrl
from .chunked_writes import PieceConnection
from .errors import ERRORS, translated
from .session import MysqlSession

_SQL_MODE: Final = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
"""The server truncates no value."""

_WAITS_FOR_ALL: Final = 7
"""`wsrep_sync_wait`: reads and writes wait until the node has all acknowledged writes of others."""


async def connect(
    host: str, port: int, url: ServerUrl, encryption: ssl.SSLContext | None, *, patient: bool
) -> MysqlSession:
    """Connect. Unless `patient`, the server itself also ends statements after `timeout`."""
    password = "" if url.password is None else url.password.reveal()
    connection: Any = PieceConnection(  # type: ignore[no-untyped-call]  # asyncmy does not annotate it
        host=host,
        port=port,
        unix_socket=url.parameters.socket,
        user=url.user,
        password=password.encode(),  # of text asyncmy would take Latin-1 only
        database=url.database,
        ssl=encryption,
        use_unicode=False,
        autocommit=True,
    )
    # The caller has a deadline. For its own timeout, asyncmy uses `asyncio.wait_for`, which may
    # swallow a cancellation before Python 3.12 (github.com/python/cpython/issues/86296).
    connection._connect_timeout = None  # noqa: SLF001  (asyncmy has no public option for it)
    try:
        await connection.connect()
    except ERRORS as error:
        failure = translated(error, is_connected=False)
        if failure.kind is StorageFailure.REFUSED and encryption is None:
            failure.message += "; if the server requires TLS, add sslmode=verify-full to the URL"
        raise failure from error
    session = MysqlSession(connection, url.database)
    try:
        await _set(session, MIGRATION_SECONDS if patient else url.parameters.timeout)
        await _read_variables(session, is_one_of_several=len(url.hosts) > 1)
    except BaseException:
        session.terminate()
        raise
    return session


async def _set(session: MysqlSession, seconds: float) -> None:
    settings = [f"sql_mode = '{_SQL_MODE}'", f"innodb_lock_wait_timeout = {math.ceil(seconds)}"]
    if session.is_mariadb:
        settings.append(f"max_statement_time = {seconds}")
    else:
        settings.append(f"max_execution_time = {math.ceil(seconds * 1000)}")
    await session.run(f"SET {', '.join(settings)}")
    await session.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


async def _read_variables(session: MysqlSession, *, is_one_of_several: bool) -> None:
    names = "'max_allowed_packet', 'read_only', 'innodb_read_only', 'wsrep_on'"
    found = await session.fetch((f"SHOW VARIABLES WHERE variable_name IN ({names})", ()))
    variables = {name.decode(): text.decode() for name, text in found}
    session.packet_bytes = int(variables["max_allowed_packet"])
    # A reader of Aurora only has the second one.
    is_reader = variables["read_only"] != "OFF" or variables.get("innodb_read_only") == "ON"
    if is_one_of_several and is_reader:
        raise StorageUnavailable("MySQL takes no writes: it is a replica", StorageFailure.READ_ONLY)
    if variables.get("wsrep_on") == "ON":
        await session.run(f"SET SESSION wsrep_sync_wait = {_WAITS_FOR_ALL}")
        session.certifies = True
        if is_one_of_several:
            # A node that has lost the others refuses this read, which needs their writes.
            await session.fetch(("SELECT 1", ()))
