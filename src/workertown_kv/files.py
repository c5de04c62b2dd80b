"""Read the text files that a server is made from."""

import logging
import stat
from pathlib import Path
from typing import Final

from .errors import OptionsError

MOST_BYTES: Final = 64 * 1024 * 1024
"""The size of the largest file that is accepted."""

_LOG: Final = logging.getLogger("workertown_kv")


def is_missing(path: Path) -> bool:
    """Return whether no file has this path; a file that this user may not see may have it."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        # What opens the file says what is wrong.
        return False
    return False


class Files:
    """Reads each file only once, and keeps its text.

    A second server that is made from the same object, even in another process, gets the same
    texts, even if the files have changed in the meantime.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def text(self, path: str, *, private: bool = False) -> str:
        """Return the text of a file. Raises `OptionsError` if it cannot be read.

        Logs a warning if the file is `private` and every user of the machine can read it.
        """
        if path not in self._texts:
            try:
                mode, self._texts[path] = _read(path)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise OptionsError(f"Cannot read {path}: {reason}") from error
            if private and mode & stat.S_IROTH:
                _LOG.warning(
                    "Every user of this machine can read %s, which contains credentials; run "
                    "`chmod o= %s` to prevent that",
                    path,
                    path,
                )
        return self._texts[path]


def _read(path: str) -> tuple[int, str]:
    """Read the mode and the text of a file. Raises `OSError` and `ValueError`."""
    file = Path(path)
    status = file.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ValueError("it is a folder; expected a file")
    if not stat.S_ISREG(status.st_mode):
        # Reading a pipe may block for ever, and only the first reader gets its text.
        raise ValueError("it is a pipe or a device; expected a regular file")
    if status.st_size > MOST_BYTES:
        raise ValueError(f"it has {status.st_size:,} bytes; expected at most {MOST_BYTES:,}")
    try:
        # Editors on Windows begin files with a byte order mark.
        return status.st_mode, file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
