"""Print the lines about a start and a reload of `serve`."""

import shlex
from collections.abc import Sequence

import click

from ..options import ApiKeyEnv
from .log import LogFormat, json_line

KEY_VARIABLE = ApiKeyEnv().api_key


def greet(
    url: str,
    database: str,
    made: str | None,
    log_format: LogFormat,
    *,
    uds: str | None,
    console: str | None,
    is_new: bool,
) -> None:
    """Print where the server listens, and the API key that it made, if any.

    `console` is the URL of the console, if the server has a console that browsers can reach.
    `is_new` says that the start creates the database.
    """
    listens = f"workertown-kv listens on {uds or url}, values are in {database}"
    if is_new:
        listens += ", which is new"
    if log_format == "json":
        start = {
            "event": "start",
            "message": listens,
            "url": url,
            **({} if uds is None else {"uds": uds}),
            "database": database,
            **({} if console is None else {"console": console}),
            "new": is_new,
        }
        click.echo(json_line("info", start))
        if made is not None:
            key = {"event": "api_key", "message": _MADE, "api_key": made}
            click.echo(json_line("warning", key))
        return
    click.echo(listens)
    if console is not None:
        click.echo(f"The console for browsers is at {console}")
    if made is not None:
        curl = "curl" if uds is None else f"curl --unix-socket {shlex.quote(uds)}"
        click.echo(_instructions(curl, url, made))


def print_reloaded(known: Sequence[str], log_format: LogFormat) -> None:
    """Print that files were reloaded, and which kinds of credentials the server now has."""
    message = f"Reloaded, with {' and '.join(known) or 'no credentials'}"
    is_json = log_format == "json"
    click.echo(json_line("info", {"event": "reload", "message": message}) if is_json else message)


_MADE = "No credentials are configured, so this run has an API key of its own"


def _instructions(curl: str, url: str, made: str) -> str:
    return f"""
{_MADE}:

    {made}

Put a value and get it back:

    {curl} -X PUT {url}/v1/kv/hello -H 'Authorization: Bearer {made}' \\
        -H 'Content-Type: application/json' -d '{{"value": "world"}}'
    {curl} {url}/v1/kv/hello -H 'Authorization: Bearer {made}'

To set a key for good, start the server with {KEY_VARIABLE} in its environment:

    export {KEY_VARIABLE}={made}
"""
