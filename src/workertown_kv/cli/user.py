"""`workertown-kv user`."""

import sys
from typing import Any

import click

from ..auth import PasswordHash
from ..options import Secret, UserCredential
from .credential import NewCredential, credential_options

_MOST_BYTES = 1024 * 1024


@click.command()
@credential_options
@click.option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help="Read the password from the standard input, in place of asking for it.",
)
def user(name: str, from_stdin: bool, **limits: Any) -> None:
    """Make a user NAME with a password, for Basic authentication.

    Prints a line for the variable KV_USERS or, with --file, appends it to the file that
    KV_USERS_FILE names. The line lets the user in, and has a hash of the password, from which
    guessing is slow.
    """
    new = NewCredential(UserCredential, name, **limits)
    if from_stdin:
        password = _from_stdin()
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise click.UsageError("The password is empty; expected one of at least one character")
    try:
        UserCredential(name=name, password=Secret(password))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    new.give(str(PasswordHash.of(password)))


def _from_stdin() -> str:
    """Read all of the standard input, without the line break at its end."""
    sent = sys.stdin.buffer.read(_MOST_BYTES).removesuffix(b"\n").removesuffix(b"\r")
    # What is not UTF-8 is kept as it is, and refused with what no password may have.
    return sent.decode(errors="surrogateescape")
