"""Make the standard streams usable for every command, whatever the caller has made of them."""

import io
import os
import sys
from typing import Final

_STREAMS: Final = ("stdin", "stdout", "stderr")


def prepare_standard_streams() -> None:
    """Open the streams that the caller has closed, and let outputs take every character.

    A closed stream, as with `>&-`, becomes /dev/null. Otherwise the next file that is opened would
    get its number, and the lines for the stream. A character that the encoding of a stream does not
    have is written as an escape of Python.
    """
    for number, name in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
