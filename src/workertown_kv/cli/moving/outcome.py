"""Say what was moved, and what was moved before an error."""

import click

from ...errors import KvError
from ...transfer.forms import BadFile
from ...transfer.writing import Tally, Writer
from ..ending import ExitCode, exit_code_of, failure


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def said(tally: Tally, verb: str, *, is_dry_run: bool) -> str:
    """Return what was done with how many entries; `verb` is regular."""
    past = f"{verb.removesuffix('y')}ied" if verb.endswith("y") else f"{verb}ed"
    begin = f"Would {verb}" if is_dry_run else past.capitalize()
    parts = [f"{begin} {counted(tally.written, 'entry')}"]
    if tally.skipped:
        parts.append(f"skipped {tally.skipped:,} that exist already")
    if tally.expired:
        parts.append(f"left out {tally.expired:,} that have expired")
    return ", ".join(parts)


def failed(
    error: KvError,
    writer: Writer | None = None,
    *,
    is_dry_run: bool = False,
    file: str | None = None,
) -> click.ClickException:
    """Return what ends a command with one line: what is wrong, and what was written before."""
    message = failure(error).message.removesuffix(".")
    if file is not None:
        message = f"{file}: {message}"
    if not is_dry_run:
        message += f". {_written_before(writer)}"
    ending = click.ClickException(message)
    # A file that is not whole is no wrong usage. click documents no other way to set the code.
    code = ExitCode.OTHER if isinstance(error, BadFile) else exit_code_of(error)
    ending.exit_code = code  # type: ignore[misc]
    return ending


def _written_before(writer: Writer | None) -> str:
    if writer is None or not (writer.tally.entries or writer.has_written):
        return "Nothing was written"
    tally = writer.tally
    if not tally.entries:
        return "Other entries were written"
    return (
        f"Before that, the command wrote or left out {counted(tally.entries, 'entry')}, up to the "
        f"key {str(tally.last_key)[:100]!r}"
    )
