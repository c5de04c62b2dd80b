"""Runs the examples of a page as a reader would: in order, in one shell, against a real server."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from shlex import quote
from typing import Final

import msgspec

from workertown_kv.testing.served import ServedStore, free_port

from .pages import Block, blocks, commands

API_KEY: Final = "s3cret"
"""The API key of every example."""

LONGEST_SECONDS: Final = 120

_DATA: Final = "kv.sqlite"
_SERVED: Final = "8787"
_OWN: Final = "8788"
_PROGRAMS: Final = quote(str(Path(__file__).with_name("programs.py")))
_END: Final = "~~ the end of an example ~~"
_NAMED: Final = re.compile(r"(?:#|--|//) (\w+\.\w+)\n")


class Step(msgspec.Struct, frozen=True):
    """Something that is run, and what it has to print."""

    line: int
    text: str
    printed: str
    is_program: bool = False
    """Whether the text is the path of a Python file."""


def failures(page: Path, folder: Path, shared: ServedStore | None = None) -> list[str]:
    """Run the examples of a page inside an empty folder. Return what did not go as the page says.

    The server at port 8787 is there already, with its data in `kv.sqlite`; port 8788 is free for
    servers that the page starts. The page's Python files are written where the page shows them.
    Pages that do not need the file use `shared`, a running server whose store is empty.
    """
    found = list(blocks(page))
    needs_file = any(_DATA in block.text for block in found)
    store = ServedStore(folder / _DATA, api_key=API_KEY) if needs_file or not shared else shared
    ports = {_SERVED: str(store.port), _OWN: str(free_port())}
    steps = list(_steps(found, folder, ports))
    starts = store is not shared and any(_SERVED in block.text for block in found)
    with store if starts else nullcontext():
        return _compared(steps, _run(steps, folder, ports))


def matches(expected: str, got: str) -> bool:
    """Return whether this was printed, where `…` stands for any text within a line."""
    pattern = r"[^\n]+?".join(re.escape(part) for part in _trimmed(expected).split("…"))
    return re.fullmatch(pattern, _trimmed(got)) is not None


def _steps(found: Sequence[Block], folder: Path, ports: Mapping[str, str]) -> Iterator[Step]:
    """Yield what there is to run.

    A block that begins with the name of a file, in a comment, is that file from there on. Any
    other `python` block is a program. A `bash` block is pasted whole. An `output` block after
    one of these two is what it prints.
    """
    sources = folder / ".blocks"
    sources.mkdir()
    for number, block in enumerate(found):
        if block.language == "console":
            for command in commands(block):
                yield Step(command.line, _replaced(command.text, ports), command.printed)
            continue
        after = found[number + 1] if number + 1 < len(found) else block
        printed = after.text if after.language == "output" else ""
        if block.language == "bash":
            yield Step(block.line, _replaced(block.text, ports), printed)
            continue
        named = _NAMED.match(block.text)
        if not named and block.language != "python":
            continue
        source = sources / str(number)
        source.write_text(_replaced(block.text, ports))
        if named:
            yield Step(block.line, f"cp {quote(str(source))} {named[1]}", "")
        else:
            yield Step(block.line, quote(str(source)), printed, is_program=True)


def _run(steps: Sequence[Step], folder: Path, ports: Mapping[str, str]) -> list[str]:
    """Return what each step printed, in one shell session."""
    (folder / ".session").write_text("".join(_script(steps)))
    session = subprocess.Popen(
        ["bash", ".session"],  # noqa: S607  (wherever the reader has it)
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        printed, _ = session.communicate(timeout=LONGEST_SECONDS)
    finally:
        _end(session)
    text = printed.decode(errors="backslashreplace").replace("\r\n", "\n")
    return _replaced(text, {real: written for written, real in ports.items()}).split(_END)


def _script(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the commands of a session. Programs that follow one another share an interpreter."""
    for are_programs, together in groupby(steps, lambda step: step.is_program):
        texts = [step.text for step in together]
        if are_programs:
            yield f"PYTHONPATH=. python -P -W error {_PROGRAMS} {quote(_END)} {' '.join(texts)}\n"
        else:
            yield from (f"{text}\nprintf '\\n%s\\n' {quote(_END)}\n" for text in texts)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("KV_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        **kept,
        "PATH": path,
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
        "XDG_CONFIG_HOME": str(folder / ".config"),
    }


def _end(session: subprocess.Popen[bytes]) -> None:
    """End whatever a page has left running."""
    try:
        os.killpg(session.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    session.wait()


def _compared(steps: Sequence[Step], printed: Sequence[str]) -> list[str]:
    """Return what differs. A step that never came to its end printed nothing."""
    unreached = ["(the session ended before this)"] * (len(steps) + 1 - len(printed))
    return [
        f"line {step.line}: {step.text}\nexpected:\n{step.printed}\ngot:\n{got}"
        for step, got in zip(steps, [*printed[:-1], *unreached], strict=True)
        if not matches(step.printed, got)
    ]


def _replaced(text: str, ports: Mapping[str, str]) -> str:
    for port, other in ports.items():
        text = text.replace(port, other)
    return text


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()
