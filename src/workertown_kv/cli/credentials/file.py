"""Append the lines of new credentials to a file."""

import fcntl
import os
from unicodedata import normalize

import click

from ...errors import OptionsError
from ...files import Files
from ...options import Credential, parse_lines


def append(kind: type[Credential], file: str, name: str, line: str) -> None:
    """Append the line of a credential with this name.

    Creates a missing file, readable only by its owner. Raises `click.ClickException`, and writes
    nothing, if a server could not use the file or the file already has the name.
    """
    try:
        # Opening a pipe only for writing may wait for ever.
        opened = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.ClickException(f"Cannot write {file}: {error.strerror}") from error
    try:
        # Two commands that run at the same time must not both find the name free.
        fcntl.flock(opened, fcntl.LOCK_EX)
        before = _text_with_name_free(kind, file, name)
        separator = "\n" if before and not before.endswith("\n") else ""
        _write(opened, f"{separator}{line}\n".encode())
    except OSError as error:
        raise click.ClickException(f"Cannot write {file}: {error.strerror}") from error
    finally:
        os.close(opened)


def _write(opened: int, line: bytes) -> None:
    """Write the whole line or nothing. Raises `OSError`."""
    size = os.fstat(opened).st_size
    written = 0
    try:
        while written < len(line):
            written += os.write(opened, line[written:])
        os.fsync(opened)
    except OSError:
        os.ftruncate(opened, size)
        raise


def _text_with_name_free(kind: type[Credential], file: str, name: str) -> str:
    try:
        text = Files().text(file, private=True)
        lines = parse_lines(kind, text, file)
    except OptionsError as error:
        raise click.ClickException(error.message) from error
    for source, credential in lines.items():
        if normalize("NFC", credential.name) == normalize("NFC", name):
            raise click.ClickException(
                f"{source} has the name {name!r} already; expected another name, or that line "
                "removed"
            )
    return text
