"""Define `workertown-kv api-key`, and its command that prints a line for a file."""

import secrets
from typing import Any

import click

from ...auth import hash_api_key
from ...options import ApiKeyCredential
from .limits import Limits, limit_options
from .line import NewLine, file_option
from .stored import create, list_, revoke


class _Group(click.Group):
    """Takes `api-key NAME` for `api-key line NAME`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and first not in ctx.help_option_names:
            args = ["line", *args]
        return super().parse_args(ctx, args)


@click.group(name="api-key", cls=_Group, subcommand_metavar="COMMAND | NAME [ARGS]...")
def api_key() -> None:
    """Make API keys, in a store or for a file.

    `create`, `list` and `revoke` are about the keys that a store keeps. Servers accept them
    without a restart. `line` makes a key for a file or a variable that a server reads; `api-key
    NAME` is the same as `api-key line NAME`.
    """


@api_key.command()
@limit_options
@file_option
def line(name: str, file: str | None, **limits: Any) -> None:
    """Make an API key called NAME for a file or a variable.

    Prints a line for the variable KV_API_KEYS or, with --file, appends it to the file that
    KV_API_KEYS_FILE names. The server accepts the key once it has that line. The line contains
    only a hash, from which the key cannot be recovered. The key itself is printed once: to the
    standard error or, with --file, to the standard output.
    """
    made = f"kv_{secrets.token_urlsafe(32)}"
    new = NewLine(ApiKeyCredential, name, Limits.of(**limits), file=file)
    if file is None:
        click.echo(f"The API key of {name}, which is not shown again:\n\n    {made}\n", err=True)
        new.give(hash_api_key(made))
    else:
        new.give(hash_api_key(made))
        click.echo(made)


for _command in (create, list_, revoke):
    api_key.add_command(_command)
