"""Define `workertown-kv api-key`."""

import secrets
from typing import Any

import click

from ..auth import hash_api_key
from ..options import ApiKeyCredential
from .credential import NewCredential, credential_options


@click.command(name="api-key")
@credential_options
def api_key(name: str, file: str | None, **limits: Any) -> None:
    """Create an API key called NAME.

    Prints a line for the variable KV_API_KEYS or, with --file, appends it to the file that
    KV_API_KEYS_FILE names. The server accepts the key once it has that line. The line contains
    only a hash, from which the key cannot be recovered. The key itself is printed once: to the
    standard error or, with --file, to the standard output.
    """
    made = f"kv_{secrets.token_urlsafe(32)}"
    new = NewCredential(ApiKeyCredential, name, file=file, **limits)
    if file is None:
        click.echo(f"The API key of {name}, which is not shown again:\n\n    {made}\n", err=True)
        new.give(hash_api_key(made))
    else:
        new.give(hash_api_key(made))
        click.echo(made)
