"""End a command: with one line for an error, and with an exit code that scripts can rely on."""

import asyncio
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import click

from ..errors import (
    Forbidden,
    InputError,
    KvError,
    NotFound,
    Overloaded,
    RateLimited,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    Unauthorized,
)


class ExitCode(IntEnum):
    """The exit codes of the commands that use a store."""

    OTHER = 1
    USAGE = 2
    """The arguments make no sense, or no store would accept them."""
    NOT_FOUND = 3
    """There is no such key or namespace."""
    REFUSED = 4
    """The store refuses the credentials, or does not permit this with them."""
    UNAVAILABLE = 5
    """The store does not answer for now; a retry may help."""
    INTERRUPTED = 130
    """A user pressed Ctrl-C, as shells report it."""


_CODES: tuple[tuple[type[KvError], ExitCode], ...] = (
    (InputError, ExitCode.USAGE),
    (NotFound, ExitCode.NOT_FOUND),
    (Unauthorized, ExitCode.REFUSED),
    (Forbidden, ExitCode.REFUSED),
    (StorageUnavailable, ExitCode.UNAVAILABLE),
    (Overloaded, ExitCode.UNAVAILABLE),
    (RateLimited, ExitCode.UNAVAILABLE),
)


def exit_code_of(error: KvError) -> ExitCode:
    """Return the exit code for an error."""
    if isinstance(error, StorageError) and error.kind is StorageFailure.REFUSED:
        return ExitCode.REFUSED
    found = (code for kind, code in _CODES if isinstance(error, kind))
    return next(found, ExitCode.OTHER)


def failure(error: KvError) -> click.ClickException:
    """Return what ends a command with one line, and with the exit code of an error."""
    ending = click.ClickException(_line(error))
    ending.exit_code = exit_code_of(error)  # type: ignore[misc]  # click documents no other way
    return ending


def _line(error: KvError) -> str:
    """Return the message with its details, which say where the fault is."""
    details = [
        f"{'.'.join(map(str, detail.path))}: {detail.message}" if detail.path else detail.message
        for detail in error.details
    ]
    # "Invalid request body" is about a request, and a command has none.
    return "; ".join(details) if details else error.message


def has_colour() -> bool:
    """Return whether the standard output is a terminal that shows colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def run(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the coroutine of a command. An error ends the command with one line and its exit code."""
    try:
        asyncio.run(act())
        # A reader that is gone is noticed here, and not when the interpreter ends.
        sys.stdout.flush()
    except KvError as error:
        raise failure(error) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Python would try again to write at its end, and show a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.ClickException(f"Cannot write the output: {error.strerror}") from error
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Let Ctrl-C end work that blocks the event loop, such as a question or reading a large file.

    Otherwise the event loop only notes it, and cancels the command after that work.
    """
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread gets signals, and a process in the background may ignore this one.
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line if the server or its storage cannot be used."""
    try:
        yield
    except KvError as error:
        raise click.ClickException(error.message) from error
