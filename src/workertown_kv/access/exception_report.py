"""Describe exceptions for Sentry, with their stacks and causes, but without their messages."""

import linecache
from collections.abc import Iterator
from pathlib import PurePath
from traceback import walk_tb
from types import FrameType
from typing import Any, Final

_MOST_EXCEPTIONS: Final = 20
_MOST_FRAMES: Final = 100
_CONTEXT_LINES: Final = 5
_OWN: Final = __name__.partition(".")[0]


def describe_exceptions(error: BaseException) -> list[dict[str, Any]]:
    """Describe an exception and all its causes, the first cause first."""
    described: list[dict[str, Any]] = []
    found = {id(error)}
    waiting: list[tuple[BaseException, int | None]] = [(error, None)]
    while waiting and len(described) < _MOST_EXCEPTIONS:
        exception, parent = waiting.pop(0)
        number = len(described)
        described.append(_describe(exception, number, parent))
        for cause in _causes(exception):
            if id(cause) not in found:
                found.add(id(cause))
                waiting.append((cause, number))
    return described[::-1]


def _causes(error: BaseException) -> Iterator[BaseException]:
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions


def _describe(error: BaseException, number: int, parent: int | None) -> dict[str, Any]:
    mechanism: dict[str, object] = {"type": "generic", "handled": False, "exception_id": number}
    if parent is not None:
        mechanism |= {"type": "chained", "parent_id": parent}
    if isinstance(error, BaseExceptionGroup):
        mechanism["is_exception_group"] = True
    frames = list(walk_tb(error.__traceback__))
    if len(frames) > _MOST_FRAMES:
        # A stack this deep is a recursion; its beginning and its end are enough.
        half = _MOST_FRAMES // 2
        frames = frames[:half] + frames[-half:]
    described = {
        "module": type(error).__module__,
        "type": type(error).__name__,
        "mechanism": mechanism,
    }
    if frames:
        described["stacktrace"] = {"frames": [_frame(frame, line) for frame, line in frames]}
    return described


def _frame(frame: FrameType, line: int) -> dict[str, object]:
    module = str(frame.f_globals.get("__name__"))
    own = module.partition(".")[0] == _OWN
    described: dict[str, object] = {
        "module": module,
        "filename": _file_name(frame.f_code.co_filename, module),
        "function": frame.f_code.co_qualname,
        "lineno": line,
        "in_app": own,
    }
    if own:
        # The source of other packages may have a secret beside the line that failed.
        text = linecache.getlines(frame.f_code.co_filename)
        source = [code.rstrip("\n") for code in text]
        described["pre_context"] = source[max(0, line - 1 - _CONTEXT_LINES) : line - 1]
        described["context_line"] = source[line - 1] if line <= len(source) else ""
        described["post_context"] = source[line : line + _CONTEXT_LINES]
    return described


def _file_name(path: str, module: str) -> str:
    """Return the path of a file from its package on, without the folder of the installation."""
    parts = PurePath(path).parts
    package = module.partition(".")[0]
    if package in parts:
        start = len(parts) - 1 - parts[::-1].index(package)
        return "/".join(parts[start:])
    return PurePath(path).name
