"""The private parts of drivers that storages stand on, which a new version may not have."""

from importlib.metadata import version

import asyncmy.connection
import asyncpg  # type: ignore[import-untyped]
import pytest

CONNECTION = asyncmy.connection.Connection()  # type: ignore[no-untyped-call]
PROTOCOL = asyncmy.connection._MySQLProtocol  # type: ignore[attr-defined]
PREPARED = asyncmy.connection.PreparedStatement
RESULT = asyncmy.connection.MySQLResult


@pytest.mark.parametrize(
    ("driver", "owner", "parts"),
    [
        ("asyncmy", CONNECTION, "_connect_timeout _encoding _next_seq_id _stream_broken"),
        ("asyncmy", CONNECTION, "_execute_command _fill_buffer _proto _transport"),
        ("asyncmy", PROTOCOL, "buffer drain get_buffer length pos"),
        ("asyncmy", PREPARED, "_complete_result _execute_header _statement_id"),
        ("asyncmy", RESULT, "affected_rows read_binary rows"),
        ("asyncpg", asyncpg.Connection, "_loop _transport"),
    ],
)
def test_a_driver_has_the_private_parts_that_its_storage_uses(
    driver: str, owner: object, parts: str
) -> None:
    missing = [part for part in parts.split() if not hasattr(owner, part)]
    assert not missing, (
        f"{driver} {version(driver)} has no {', '.join(missing)} in {owner!r}, which the storage "
        "uses; mend the storage, or set an upper bound of the driver in pyproject.toml"
    )
