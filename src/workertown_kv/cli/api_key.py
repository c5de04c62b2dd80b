"""`workertown-kv api-key`."""

import secrets
from typing import Any

import click

from ..auth import hash_api_key
from .credential import credential_line, credential_options


@click.command(name="api-key")
@click.argument("name")
@credential_options
def api_key(name: str, **limits: Any) -> None:
    """Make an API key for NAME.

    The line that lets it in is printed for the variable KV_API_KEYS, or for the file that
    KV_API_KEYS_FILE names; it holds a hash, by which nobody can find the key. The key itself goes
    to the standard error, once.
    """
    made = f"kv_{secrets.token_urlsafe(32)}"
    line = credential_line(name, hash_api_key(made), **limits)
    click.echo(f"The API key of {name}, which is not shown again:\n\n    {made}\n", err=True)
    click.echo(line)
