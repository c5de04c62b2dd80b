"""Test the private parts of drivers that storages use, which a new version may lack."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version

import asyncmy.connection
import asyncpg  # type: ignore[import-untyped]  # asyncpg has no types
import pytest


async def call_in_event_loop(make: Callable[[], object]) -> object:
    return make()


@pytest.mark.parametrize(
    ("driver", "owner_of_parts", "parts"),
    [
        # Some parts exist only with a connection, which needs a running event loop.
        (
            "asyncmy",
            asyncmy.connection.Connection,
            "_connect_timeout _encoding _next_seq_id _stream_broken",
        ),
        (
            "asyncmy",
            asyncmy.connection.Connection,
            "_execute_command _fill_buffer _proto _transport",
        ),
        (
            "asyncmy",
            lambda: asyncmy.connection._MySQLProtocol,  # type: ignore[attr-defined]  # its stub lacks the protocol
            "buffer drain get_buffer length pos",
        ),
        (
            "asyncmy",
            lambda: asyncmy.connection.PreparedStatement,
            "_complete_result _execute_header _statement_id",
        ),
        ("asyncmy", lambda: asyncmy.connection.MySQLResult, "affected_rows read_binary rows"),
        ("asyncpg", lambda: asyncpg.Connection, "_loop _transport"),
    ],
)
def test_a_driver_has_the_private_parts_that_its_storage_uses(
    driver: str, owner_of_parts: Callable[[], object], parts: str
) -> None:
    owner = asyncio.run(call_in_event_loop(owner_of_parts))
    missing = [part for part in parts.split() if not hasattr(owner, part)]
    assert not missing, (
        f"{driver} {version(driver)} has no {', '.join(missing)} in {owner!r}, which the storage "
        "uses; mend the storage, or set an upper bound of the driver in pyproject.toml"
    )
