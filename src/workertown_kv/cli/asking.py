"""Ask the user, and say what would be right where no user can answer."""

import sys
import warnings
from getpass import GetPassWarning
from typing import Any

import click

from .ending import ended_by_interrupt


def confirm(question: str) -> None:
    """Ask a question, and abort the command unless the answer is yes."""
    try:
        with ended_by_interrupt():
            is_confirmed = click.confirm(question, err=True)
    except click.Abort as error:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise click.ClickException("Nobody answers the question; expected --yes") from error
    if not is_confirmed:
        raise click.Abort


def ask_for_secret(subject: str, *, flag: str, **how: Any) -> str:
    """Ask for a secret without showing it; `flag` reads it from the standard input instead."""
    try:
        with warnings.catch_warnings():
            # Without a terminal, getpass would only warn, and show the secret.
            warnings.simplefilter("error", GetPassWarning)
            answer: str = click.prompt(subject, hide_input=True, err=True, **how)
    except GetPassWarning as error:
        raise click.UsageError(f"There is no terminal to ask on; expected {flag}") from error
    return answer
