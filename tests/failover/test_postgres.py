"""Test servers over a PostgreSQL whose primary is killed, so that its standby takes over."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caller import Caller, make_server
from servers.postgres import postgres_programs
from servers.standby import Commit, PostgresPair
from workertown_kv.storage.url import storage_from_url

from .load import Load

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

SERVERS = 2


@pytest.fixture(scope="module")
def programs(require_program: Callable[[str, str], str]) -> Path:
    return postgres_programs(require_program)


@pytest.mark.parametrize("commit", ["on", "remote_apply"])
async def test_no_acknowledged_write_is_lost_with_the_primary_of_a_synchronous_standby(
    programs: Path, commit: Commit
) -> None:
    with PostgresPair(programs, commit) as pair:
        async with Load([storage_from_url(pair.url) for _ in range(SERVERS)]) as load:
            # The second time, the server that came back takes over.
            for _ in range(2):
                await load.more()
                await asyncio.to_thread(pair.primary.kill)
                await load.trouble()
                await asyncio.to_thread(pair.promote)
                await load.more()
                await asyncio.to_thread(pair.rejoin)
            await load.more()
            figures = await load.figures()
    print(f"\nPostgreSQL, synchronous_commit={commit}, 2 times killed: {figures}")
    assert (figures.lost, figures.faults) == (0, [])


@pytest.mark.parametrize("away", [False, True], ids=["standby-is-there", "standby-was-away"])
async def test_the_report_has_writes_lost_with_the_primary_of_an_asynchronous_standby(
    programs: Path, *, away: bool
) -> None:
    with PostgresPair(programs, "local") as pair:
        async with Load([storage_from_url(pair.url) for _ in range(SERVERS)]) as load:
            await load.more()
            if away:
                await asyncio.to_thread(pair.standby.kill)
                await load.more()
            await asyncio.to_thread(pair.primary.kill)
            await asyncio.to_thread(pair.standby.start)
            await asyncio.to_thread(pair.promote)
            await load.more()
            figures = await load.figures()
    state = "had been away" if away else "was there"
    print(f"\nPostgreSQL, asynchronous, the standby {state}: {figures}")
    assert figures.acknowledged > 0


async def test_what_the_standby_has_not_got_is_neither_acknowledged_nor_seen(
    programs: Path,
) -> None:
    with PostgresPair(programs) as pair:
        async with make_server(storage_from_url(f"{pair.url}?timeout=1")) as server:
            call = Caller(server)
            await call.put("old", 1)
            with pair.standby.paused():
                for method in ("PUT", "DELETE"):
                    body: dict[str, Any] = {"json": {"value": 2}} if method == "PUT" else {}
                    answer = await call(method, f"/v1/kv/{'new' if body else 'old'}", **body)
                    assert answer.status_code == 503
                    assert "may or may not have happened" in answer.json()["error"]
                assert (await call("GET", "/v1/kv/new")).status_code == 404
                assert await call.data("GET", "/v1/kv/old") == 1
                pair.primary.kill()
            pair.promote()
            for key, value in (("old", 1), ("new", 2)):
                answer = await call("GET", f"/v1/kv/{key}")
                assert answer.status_code == 404 or answer.json()["data"] == value
