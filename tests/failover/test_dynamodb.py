"""Test servers over DynamoDB, each behind a network that loses requests and answers."""

from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from servers.dynamodb import RunningDynamoDB
from servers.installed import python_packages
from servers.relay import Relay
from workertown_kv.storage.url import storage_from_url

from .load import Load

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

SERVERS = 3
FEW = 10
"""How many writes each server acknowledges between two events."""


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return a folder with the packages of ministack."""
    return python_packages(Path(__file__).parents[1] / "servers" / "ministack.txt")


async def test_no_acknowledged_write_is_lost_in_a_faulty_network(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with ExitStack() as running:
        dynamodb = running.enter_context(RunningDynamoDB(packages, tmp_path))
        relays = [running.enter_context(Relay(dynamodb.port)) for _ in range(SERVERS)]
        url = dynamodb.url(f"t-{uuid4().hex}").replace("timeout=60", "timeout=2")
        async with Load([storage_from_url(relay.in_front(url)) for relay in relays]) as load:
            for number, relay in enumerate(relays):
                await load.more(FEW)
                relay.lose_answers(5)
                await load.more(FEW)
                relay.lose_requests(5, after_bytes=50)
                await load.more(FEW)
                relay.cut()
                await load.more(FEW)
                with relay.slow(delay_seconds=0.05):
                    await load.more(FEW)
                with relay.hanging():
                    await load.more(FEW, but=number)
                relay.cut()
                with relay.refusing():
                    await load.more(FEW, but=number)
            await load.more(FEW)
            figures = await load.figures()
    print(f"\nDynamoDB, a faulty network: {figures}")
    assert (figures.lost, figures.faults) == (0, [])
