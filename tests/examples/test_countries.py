"""Test the program that loads pycountry's tables, against a served SQLite store."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner, Result

from workertown_kv.testing import ServedStore, free_port

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from examples.countries import connect, differences, keys, load, main, tables  # noqa: E402  (the path above comes first)

KEY = "test-key"


@pytest.mark.deep
def test_a_load_cut_short_by_a_kill_loses_nothing_acknowledged_and_can_be_finished(
    tmp_path: Path,
) -> None:
    # A third of each table is enough to kill the program in the middle.
    every = {name: dict(list(table.items())[::3]) for name, table in tables().items()}
    records = {key: record for table in every.values() for key, record in table.items()}
    assert len(records) > 4_000
    acknowledged: set[str] = set()

    with ServedStore(tmp_path / "kv.sqlite", api_key=KEY) as server:

        def kill_in_the_middle(key: str) -> None:
            acknowledged.add(key)
            if len(acknowledged) == len(records) // 2:
                server.kill()

        async def load_until_killed() -> None:
            async with connect(server.url, KEY) as client:
                with pytest.raises(httpx2.TransportError):
                    await load(client, records, done=kill_in_the_middle)

        async def finish() -> None:
            async with connect(server.url, KEY) as client:
                kept = set(await keys(client, ""))
                assert acknowledged <= kept <= records.keys()
                # The program does not write acknowledged values again, so the test compares them.
                await load(client, {key: records[key] for key in records.keys() - acknowledged})
                assert await differences(client, records) == []
                for name, table in every.items():
                    assert await keys(client, f"{name}/") == in_utf8_order(table)

        asyncio.run(load_until_killed())
        assert len(records) // 2 <= len(acknowledged) < len(records)
        server.start()
        asyncio.run(finish())


@pytest.mark.deep
def test_keys_are_listed_completely_and_in_utf8_order_over_pages(tmp_path: Path) -> None:
    countries = tables()["iso3166-1"].values()
    names = {f"name/{country['name']}": country for country in countries}
    flags = {f"flag/{country['flag']}": country for country in countries}
    assert not all(key.isascii() for key in names)

    async def run() -> None:
        async with connect(server.url, KEY) as client:
            await load(client, names | flags)
            assert await differences(client, names | flags) == []
            united = [key for key in names if key.startswith("name/United ")]
            for limit in (7, 100, 249, 250):
                assert await keys(client, "name/", limit=limit) == in_utf8_order(names)
                assert await keys(client, "flag/", limit=limit) == in_utf8_order(flags)
                assert await keys(client, "", limit=limit) == in_utf8_order(names | flags)
                assert await keys(client, "name/United ", limit=limit) == in_utf8_order(united)

    with ServedStore(tmp_path / "kv.sqlite", api_key=KEY) as server:
        asyncio.run(run())


@pytest.mark.deep
def test_records_loaded_with_a_ttl_expire_and_the_others_stay(tmp_path: Path) -> None:
    every = tables()
    scripts, currencies = every["iso15924"], every["iso4217"]

    async def run() -> None:
        async with connect(server.url, KEY) as client:
            await load(client, currencies)
            await load(client, scripts, ttl=1)
            deadline = time.monotonic() + 60
            while await keys(client, "iso15924/"):
                assert time.monotonic() < deadline, "The records did not expire"
                await asyncio.sleep(0.05)
            assert sorted(await differences(client, scripts)) == sorted(scripts)
            assert await differences(client, currencies) == []
            assert await keys(client, "iso") == in_utf8_order(currencies)

    with ServedStore(tmp_path / "kv.sqlite", api_key=KEY) as server:
        asyncio.run(run())


@pytest.fixture(scope="module")
def served() -> Iterator[ServedStore]:
    with ServedStore(api_key=KEY) as store:
        yield store


def test_the_program_loads_compares_and_counts(served: ServedStore) -> None:
    command = (sys.executable, str(ROOT / "examples" / "countries.py"))
    ended = subprocess.run(
        [*command, "--table", "iso3166-3", "--table", "iso639-5"],
        env={**os.environ, "KV_URL": served.url, "KV_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    counts = {name: len(table) for name, table in tables().items()}
    former, families = counts["iso3166-3"], counts["iso639-5"]
    assert [line.split() for line in ended.stdout.splitlines()[1:]] == [
        ["iso3166-3", *3 * [str(former)]],
        ["iso639-5", *3 * [str(families)]],
        ["all", *3 * [str(former + families)]],
    ]


def test_the_program_says_in_one_line_that_its_key_is_refused(served: ServedStore) -> None:
    ended = program("--table", "iso639-5", "--api-key", "another-key", url=served.url)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "401: Unauthorized" in ended.stderr


def test_the_program_says_in_one_line_that_no_server_answers() -> None:
    ended = program(url=f"http://127.0.0.1:{free_port()}")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "does not answer" in ended.stderr


def test_the_help_of_the_program_names_its_environment() -> None:
    printed = program("--help", url="").stdout
    assert "KV_URL" in printed
    assert "KV_API_KEY" in printed


def program(*args: str, url: str) -> Result:
    """Run the program inside the process of the test."""
    return CliRunner().invoke(main, args, env={"KV_URL": url, "KV_API_KEY": KEY})


def in_utf8_order(every: Iterable[str]) -> list[str]:
    return sorted(every, key=str.encode)
