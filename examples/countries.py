"""Load the world's codes into a store, read every one back and compare.

    pip install click httpx2 pycountry
    export KV_API_KEY=…
    python examples/countries.py --url http://127.0.0.1:8787

PyPI's pycountry ships the tables of seven standards: countries, their subdivisions, countries of
the past, languages, language families, currencies and scripts. Each of the more than 10,000
records becomes one value, under a key such as `iso3166-2/DE-BE`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click
import httpx2
import pycountry

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

CONNECTIONS: Final = 16
"""How many requests are under way at a time."""

PAGE: Final = 500
"""How many keys are listed at a time; the server allows up to 1,000."""

TABLES: Final = (
    ("iso3166-1", pycountry.countries, "alpha_2"),
    ("iso3166-2", pycountry.subdivisions, "code"),
    ("iso3166-3", pycountry.historic_countries, "alpha_4"),
    ("iso639-3", pycountry.languages, "alpha_3"),
    ("iso639-5", pycountry.language_families, "alpha_3"),
    ("iso4217", pycountry.currencies, "alpha_3"),
    ("iso15924", pycountry.scripts, "alpha_4"),
)
"""The name of each table, its records, and the field that tells them apart."""

Record = Mapping[str, str | None]

_NO_ECHO: Final = {"Prefer": "return=minimal"}


def tables() -> dict[str, dict[str, Record]]:
    """The records of every table by their keys."""
    return {
        name: {f"{name}/{getattr(record, field)}": _plain(record) for record in database}
        for name, database, field in TABLES
    }


def _plain(record: Iterable[tuple[str, Any]]) -> Record:
    """The record as it goes into JSON: pycountry adds a link to the parent, an object."""
    return {field: value for field, value in record if field != "parent"}


def connect(url: str, api_key: str) -> httpx2.AsyncClient:
    """A client for the store at `url`."""
    return httpx2.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=30
    )


def path(key: str) -> str:
    """Where the value of a key is."""
    return f"/v1/kv/{quote(key)}"


async def load(
    client: httpx2.AsyncClient,
    records: Mapping[str, Record],
    *,
    ttl: int | None = None,
    done: Callable[[str], object] = lambda _: None,
) -> None:
    """Write the records. `done` hears of each key once the server has acknowledged it."""
    lifetime = {} if ttl is None else {"ttl": ttl}

    async def put(key: str) -> None:
        body = {"value": records[key], **lifetime}
        answer = await client.put(path(key), json=body, headers=_NO_ECHO)
        answer.raise_for_status()
        done(key)

    await _for_each(records, put)


async def differences(
    client: httpx2.AsyncClient,
    records: Mapping[str, Record],
    *,
    done: Callable[[str], object] = lambda _: None,
) -> list[str]:
    """Read every record back; the keys of those that are missing or not the same."""
    found = []

    async def compare(key: str) -> None:
        answer = await client.get(path(key))
        missing = answer.status_code == 404
        if not missing:
            answer.raise_for_status()
        if missing or answer.json()["data"] != records[key]:
            found.append(key)
        done(key)

    await _for_each(records, compare)
    return found


async def keys(client: httpx2.AsyncClient, prefix: str, *, limit: int = PAGE) -> list[str]:
    """All keys that start with `prefix`, `limit` of them at a time, in the server's order."""
    found: list[str] = []
    asked: dict[str, Any] = {"prefix": prefix, "limit": limit}
    while True:
        answer = await client.get("/v1/kv", params=asked)
        answer.raise_for_status()
        page = answer.json()["data"]
        found += (one["key"] for one in page["keys"])
        if page["complete"]:
            return found
        asked["cursor"] = page["cursor"]


async def _for_each(every: Iterable[str], act: Callable[[str], Awaitable[None]]) -> None:
    """Do it for each key, several at a time. The first error ends it and is raised."""
    waiting = iter(every)

    async def work() -> None:
        for key in waiting:
            await act(key)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def run(
    every: Mapping[str, Mapping[str, Record]], url: str, api_key: str, ttl: int | None
) -> bool:
    """Load, read back, list, and print how many; whether all is as it should be."""
    records = {key: record for table in every.values() for key, record in table.items()}
    async with connect(url, api_key) as client:
        with _bar("Writing", len(records)) as bar:
            await load(client, records, ttl=ttl, done=lambda _: bar.update(1))
        with _bar("Reading", len(records)) as bar:
            wrong = set(await differences(client, records, done=lambda _: bar.update(1)))
        listed = {name: await keys(client, f"{name}/") for name in every}
    click.echo(f"{'':<9} {'written':>8} {'the same':>8} {'listed':>8}")
    for name, table in every.items():
        same = len(table) - len(wrong & table.keys())
        click.echo(f"{name:<9} {len(table):>8,} {same:>8,} {len(listed[name]):>8,}")
    same, found = len(records) - len(wrong), sum(map(len, listed.values()))
    click.echo(f"{'all':<9} {len(records):>8,} {same:>8,} {found:>8,}")
    return not wrong and all(
        listed[name] == sorted(table, key=str.encode) for name, table in every.items()
    )


def _bar(label: str, length: int) -> "ProgressBar[int]":
    """A progress bar on a terminal, nothing elsewhere."""
    hidden = not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)


@click.command()
@click.option(
    "--url",
    envvar="KV_URL",
    default="http://127.0.0.1:8787",
    show_default=True,
    show_envvar=True,
    help="The URL of the server.",
)
@click.option(
    "--api-key",
    envvar="KV_API_KEY",
    required=True,
    show_envvar=True,
    help="An API key of the server.",
)
@click.option(
    "--table",
    type=click.Choice([name for name, _, _ in TABLES]),
    multiple=True,
    help="Load this table; may be given several times. Without it, all of them.",
)
@click.option(
    "--ttl",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Let the values expire; without it they stay.",
)
def main(url: str, api_key: str, table: Sequence[str], ttl: int | None) -> None:
    """Load the tables of ISO 3166, 639, 4217 and 15924 into a store and check them.

    Writes each record under a key such as iso3166-2/DE-BE, reads every one back, lists the keys
    of each table, and prints how many there are.
    """
    every = tables()
    if table:
        every = {name: every[name] for name in every if name in table}
    try:
        succeeded = asyncio.run(run(every, url, api_key, ttl))
    except httpx2.HTTPStatusError as error:
        raise click.ClickException(_refusal(error.response)) from error
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        raise click.ClickException(f"{url} does not answer: {error}") from error
    if not succeeded:
        raise click.ClickException("The store does not have exactly what was loaded")


def _refusal(answer: httpx2.Response) -> str:
    """What the server says is wrong; its own words where it speaks in the envelope."""
    try:
        reason = answer.json()["error"]
    except (ValueError, LookupError, TypeError):
        reason = answer.reason_phrase
    return f"{answer.request.method} {answer.url} was answered {answer.status_code}: {reason}"


if __name__ == "__main__":
    main()
