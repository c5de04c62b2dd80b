"""Draw where the CPU time of a server goes: `python -m bench.flames --help`."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

import click

from .data import Data
from .load import Load, run_loads
from .ours import ours
from .requests import gets, puts
from .server import Server

_LOADS: Final = (Load("GET", gets), Load("PUT", puts))
_RATE: Final = 400
_WIDTH: Final = 1200
_ROW: Final = 17
_CHARACTER: Final = 6.2
_LOOP: Final = "Runner.run (asyncio/runners.py)"
_STARTS: Final = {_LOOP: "event loop", "_worker (concurrent/futures/thread.py)": "threads"}
"""The functions from which on stacks are drawn, and how they are called there."""
_OWN: Final = "(workertown_kv/"
_NARROWEST: Final = 0.003
"""A frame with a smaller part of all samples is left out."""


@dataclass
class Frame:
    """A function on the stack, with the samples in which it was there under its caller."""

    samples: int = 0
    inner: "dict[str, Frame]" = field(default_factory=dict)

    def add(self, functions: Iterable[str], samples: int) -> None:
        """Add a stack, from the outermost function."""
        frame = self
        frame.samples += samples
        for name in functions:
            frame = frame.inner.setdefault(name, Frame())
            frame.samples += samples

    def depth(self) -> int:
        """Return how many rows the frame takes."""
        return 1 + max((inner.depth() for inner in self.inner.values()), default=0)


def read_stacks(text: str) -> Frame:
    """Return the stacks that py-spy has written, from the event loop and from threads on.

    What starts the process is left out, and so are threads that wait for work.
    """
    whole = Frame()
    for line in text.splitlines():
        stack, _, samples = line.rpartition(" ")
        names = [_short(name) for name in stack.split(";")]
        for index, name in enumerate(names):
            if name in _STARTS and index + 1 < len(names):
                whole.add([_STARTS[name], *names[index + 1 :]], int(samples))
                break
            if name == _LOOP:
                whole.add([_STARTS[name]], int(samples))
                break
    return whole


def svg(whole: Frame, title: str) -> str:
    """Return the picture: each function lies under its caller, as wide as its part of the time."""
    height = _ROW * (whole.depth() + 2)
    boxes = "\n".join(_boxes(whole, "all", 0, 0, whole.samples))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="monospace" font-size="10">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="4" y="12">{escape(title)}</text>\n{boxes}\n</svg>\n'
    )


def _boxes(frame: Frame, name: str, start: float, row: int, whole: int) -> Iterator[str]:
    part = frame.samples / whole
    if part < _NARROWEST:
        return
    width, left, top = part * _WIDTH, start * _WIDTH, (row + 1) * _ROW
    colour = "#ffb38a" if _OWN in name else "#dee2e6"
    shown = escape(name.replace(_OWN, "(")[: int(width / _CHARACTER)])
    yield (
        f'<g><title>{escape(name)}: {part:.1%}</title><rect x="{left:.1f}" y="{top}" '
        f'width="{width:.1f}" height="{_ROW - 1}" fill="{colour}"/>'
        f'<text x="{left + 2:.1f}" y="{top + 12}">{shown}</text></g>'
    )
    for inner_name, inner in sorted(frame.inner.items()):
        yield from _boxes(inner, inner_name, start, row + 1, whole)
        start += inner.samples / whole


def _short(name: str) -> str:
    """Return a function and its file, without the line."""
    function, _, place = name.partition(" (")
    file, _, line = place.rstrip(")").rpartition(":")
    return f"{function} ({file or line})"


def record(pid: int, seconds: int, file: Path) -> None:
    """Sample the stacks of a process and of its children while they use the CPU."""
    beside = Path(sys.executable).parent
    spy = shutil.which("py-spy", path=f"{beside}:{os.environ.get('PATH', os.defpath)}")
    if spy is None:
        raise click.ClickException(f"there is no py-spy; install it: {beside}/pip install py-spy")
    command = [spy, "record", "--subprocesses", "--rate", str(_RATE), "--duration", str(seconds)]
    command += ["--pid", str(pid), "--format", "raw", "--output", str(file)]
    subprocess.run(command, check=True, capture_output=True)


@click.command()
@click.option("--seconds", default=6, show_default=True, help="How long to sample each load.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".bench"),
    show_default=True,
    help="Folder for flame-get.svg and flame-put.svg.",
)
def main(seconds: int, output: Path) -> None:
    """Draw where the time of a server goes, under GETs and under durable PUTs.

    py-spy looks at the running server many times a second, and counts what it does. Needs root or
    the right to trace other processes.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with ours()(folder, Data()) as server:
            for load in _LOADS:
                click.echo(f"Sampling {load.name} for {seconds} s", err=True)
                stacks = _stacks(load, server, folder, seconds)
                file = output / f"flame-{load.name.lower()}.svg"
                file.write_text(svg(stacks, f"{load.name}: {stacks.samples:,} samples"))
                click.echo(file)


def _stacks(load: Load, server: Server, folder: Path, seconds: int) -> Frame:
    requests, stacks = folder / f"{load.name}.requests", folder / f"{load.name}.stacks"
    load.prepare(server, Data(), requests)
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(run_loads, [load], [requests], server.port, seconds + 3)
        time.sleep(1)
        record(server.pids[0], seconds, stacks)
        running.result()
    return read_stacks(stacks.read_text())


if __name__ == "__main__":
    main()
