"""Define `workertown-kv user`."""

import sys
from typing import Any

import click

from ...auth import PasswordHash
from ...options import UserCredential
from ..asking import ask_for_secret
from .limits import Limits, limit_options
from .line import NewLine, file_option

_MOST_BYTES = 1024 * 1024


@click.command()
@limit_options
@file_option
@click.option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help="Read the password from the standard input instead of asking for it.",
)
def user(name: str, file: str | None, from_stdin: bool, **limits: Any) -> None:
    """Create a user called NAME with a password.

    The password is for Basic authentication. Prints a line for the variable KV_USERS or, with
    --file, appends it to the file that KV_USERS_FILE names. The server accepts the user once it has
    that line. The line contains only a hash, which makes guessing the password slow.
    """
    new = NewLine(UserCredential, name, Limits.of(**limits), file=file)
    if from_stdin:
        password = _from_stdin()
    else:
        password = ask_for_secret("Password", flag="--password-stdin", confirmation_prompt=True)
    if not password:
        raise click.UsageError("The password is empty; expected at least one character")
    try:
        UserCredential(name=name, password=password).check()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    new.give(str(PasswordHash.of(password)))


def _from_stdin() -> str:
    """Read all of the standard input, without the line break at its end."""
    sent = sys.stdin.buffer.read(_MOST_BYTES).removesuffix(b"\n").removesuffix(b"\r")
    # Bytes that are not UTF-8 become surrogates, which the check of the password refuses.
    return sent.decode(errors="surrogateescape")
