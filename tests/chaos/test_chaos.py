"""Test a short run of what `make chaos` does for minutes."""

from pathlib import Path

import pytest

from .run import Chaos
from .servers import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

WRITES = 300
KILLS = 2


async def test_readers_of_changes_know_everything_after_servers_were_killed(
    tmp_path: Path,
) -> None:
    engine = Engine(str(tmp_path / "kv.sqlite"), None)
    async with Chaos(engine, tmp_path, entries=100_000) as chaos:
        figures = await chaos.run(
            lambda: chaos.ledger.acknowledged > WRITES and chaos.kills.total() >= KILLS,
            lambda: 0.1,
        )
    print(f"\n{figures}")
    assert (figures.faults, figures.errors) == ([], [])
