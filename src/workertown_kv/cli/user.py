"""`workertown-kv user`."""

import sys
from typing import Any

import click

from ..auth import PasswordHash
from .credential import credential_line, credential_options


@click.command()
@click.argument("name")
@click.option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help="Read the password from the standard input, in place of asking for it.",
)
@credential_options
def user(name: str, from_stdin: bool, **limits: Any) -> None:
    """Make a user NAME with a password, for Basic authentication.

    The line that lets them in is printed for the variable KV_USERS, or for the file that
    KV_USERS_FILE names; it holds a hash of the password that is slow to guess from.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise click.UsageError("The password is empty; expected one of at least one character")
    click.echo(credential_line(name, str(PasswordHash.of(password)), **limits))
