"""The pages: their fenced blocks, their links and the headings that links can lead to."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parent.parent

PAGES: Final = tuple(
    sorted(
        [
            *(
                ROOT / name
                for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
            ),
            *(ROOT / "docs").rglob("*.md"),
        ]
    )
)
"""Every page that people read."""


class Block(msgspec.Struct, frozen=True):
    """A fenced block."""

    language: str
    text: str
    line: int
    """The line of the page on which its text begins."""


class Command(msgspec.Struct, frozen=True):
    """A command of a `console` block, and what it prints."""

    text: str
    printed: str
    line: int


_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)


def name_of(page: Path) -> str:
    """The page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        yield Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def commands(block: Block) -> Iterator[Command]:
    """The commands of a `console` block.

    A line that starts with `$ ` begins one, which goes on for as long as a line ends in a
    backslash or a quotation is open. All other lines are what the command before them prints.
    """
    lines = block.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError(f"Line {block.line}: expected a command after `$ `")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        printed = start + 1
        while printed < end and not _is_whole("\n".join(lines[start:printed])):
            printed += 1
        text = "\n".join(lines[start:printed]).removeprefix("$ ")
        yield Command(text, "\n".join(lines[printed:end]), block.line + start)


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


def links(page: Path) -> list[str]:
    """Where the links of a page lead, those in code left out."""
    return _LINK.findall(_without_code(page))


def anchors(page: Path) -> set[str]:
    """What a link to the page may have after its `#`."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(_FENCE.sub("", page.read_text()))
    }


def _without_code(page: Path) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text()))
