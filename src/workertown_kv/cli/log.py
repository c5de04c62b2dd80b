"""Print the log of `serve`: text for people, or one JSON object per line for programs."""

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from logging.config import dictConfig
from time import time
from typing import Any, Final, Literal

from .lines import STDERR

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LONGEST: Final = 32 * 1024

_LOG: Final = logging.getLogger("workertown_kv")


def json_line(level: str, fields: Mapping[str, object], moment: float | None = None) -> str:
    """Return a line of JSON, in ASCII only. The time in it is `moment`, by default now."""
    return json.dumps({"time": utc(time() if moment is None else moment), "level": level, **fields})


def utc(moment: float) -> str:
    """Return a time in ISO 8601, with milliseconds."""
    seconds, microseconds = divmod(round(moment * 1_000_000), 1_000_000)
    return f"{_whole_second(seconds)}.{microseconds // 1000:03}Z"


@lru_cache(maxsize=1)
def _whole_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


class JsonFormatter(logging.Formatter):
    """Formats a record of the standard library's logging as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"logger": record.name, "message": _whole(record.getMessage())}
        if record.exc_info:
            fields["exception"] = _whole(self.formatException(record.exc_info))
        return json_line(record.levelname.lower(), fields, record.created)


def _whole(text: str) -> str:
    """Shorten a long text, and replace unpaired surrogates.

    File names may have unpaired surrogates, which JSON would pass on. An error may quote a long
    input.
    """
    return text[:_LONGEST].encode(errors="replace").decode()


JSON_LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {
        "lines": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "stream": "ext://workertown_kv.cli.lines.STDOUT",
        }
    },
    "root": {"level": "WARNING", "handlers": ["lines"]},
}
"""The settings of logging that make every record a line of JSON."""


def set_up_log(log_format: LogFormat, level: LogLevel) -> None:
    """Make this process print log records of at least this level, in this format."""
    if log_format == "json":
        _log_as_json()
    else:
        handler = logging.StreamHandler(STDERR)
        logging.basicConfig(format="[%(levelname)s] %(message)s", handlers=[handler])
    _LOG.setLevel(level.upper())


@contextmanager
def hidden_records(*parts: str) -> Iterator[None]:
    """Hide the records with one of these texts, which say no more than the command itself."""

    def is_shown(record: logging.LogRecord) -> bool:
        return not any(part in record.getMessage() for part in parts)

    _LOG.addFilter(is_shown)
    try:
        yield
    finally:
        _LOG.removeFilter(is_shown)


def _log_as_json() -> None:
    """Print only lines of JSON, even for uncaught exceptions and warnings."""
    dictConfig(JSON_LOGGING)
    logging.captureWarnings(True)
    sys.excepthook = lambda _, error, __: _log_uncaught(error)
    threading.excepthook = lambda event: _log_uncaught(event.exc_value)
    sys.unraisablehook = lambda event: _log_uncaught(event.exc_value)


def _log_uncaught(error: BaseException | None) -> None:
    _LOG.critical("Uncaught exception", exc_info=error)
