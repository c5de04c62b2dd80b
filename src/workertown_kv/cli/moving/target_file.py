"""Write a file so that it has its name only once it is whole."""

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from ...errors import StorageError, StorageFailure

STDIO: Final = "-"
"""The name of the standard input or output."""


@contextmanager
def target_file(name: str) -> Iterator[BinaryIO]:
    """Open a file to write to, or the standard output.

    The bytes go into a file `.part` beside it, which gets the name once it is whole and on the
    disk. An error removes it; after a kill, the next run begins it again. Raises `StorageError`.
    """
    path = Path(name)
    if name == STDIO:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file():
        with translated(name), path.open("wb") as device:
            yield device
    else:
        with part_of(path) as file:
            yield file


@contextmanager
def part_of(path: Path, *, like: Path | None = None) -> Iterator[BinaryIO]:
    """Give the name of a file to a file `.part` beside it, once the block has written that.

    It gets the permissions of the file that it replaces or, without such a file, those of `like`.
    """
    with translated(os.fspath(path)):
        if path.is_dir() or (path.exists() and not path.is_file()):
            # A superuser would replace the device for every program of the machine.
            what = "folder" if path.is_dir() else "pipe or a device"
            raise StorageError(f"Cannot write {path}: it is a {what}; expected the path of a file")
        part = path.with_name(f"{path.name}.part")
        if not path.parent.is_dir():
            raise StorageError(f"Cannot write {part}: There is no folder {path.parent}")
    # The lock is held until the file has its name, so that nobody else can write to it.
    mode = _mode_of(path)
    mode = _mode_of(like) if mode is None else mode
    with translated(os.fspath(part)), _locked(part, is_private=mode is not None) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        with translated(os.fspath(path)):
            if mode is not None:
                with suppress(OSError):  # some file systems have no permissions
                    part.chmod(mode)
            part.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class OtherWriter(StorageError):
    """Another process writes the same file."""


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise `StorageError` for an error of the file with this name."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = StorageFailure.FULL if is_full else StorageFailure.OTHER
        raise StorageError(f"Cannot write {name}: {error.strerror}", kind) from error


def _mode_of(path: Path | None) -> int | None:
    """Return the permissions of a file, `None` if there is no such file, or none that is found."""
    try:
        return None if path is None else stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _locked(part: Path, *, is_private: bool) -> BinaryIO:
    """Open an empty file that only this process writes. Raises `OtherWriter`.

    If it `is_private`, only this user may read it.
    """
    mode = 0o600 if is_private else 0o666
    while True:
        file = open(part, "ab", opener=lambda path, flags: os.open(path, flags, mode))  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have given the file its name meanwhile, or removed it.
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                file.truncate(0)
                if is_private:
                    part.chmod(mode)  # that of a file which a kill has left
                return file
        except BlockingIOError as error:
            file.close()
            raise OtherWriter(
                f"Another process is writing {part}; expected another file"
            ) from error
        except BaseException:
            file.close()
            raise
        file.close()
