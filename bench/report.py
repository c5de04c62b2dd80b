"""The report: where and when it was measured, and the table."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from statistics import median

import apsw

from .programs import PACKAGES, version
from .scenarios import CORES, Measurement


def file_system(folder: Path) -> str:
    """The type of the file system that the folder is on."""
    command = ["df", "--output=fstype", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def heading(folder: Path) -> str:
    """The machine, the programs, the time and the command."""
    others = ", ".join(f"{program} {version(program)}" for program in PACKAGES)
    return f"""\
- Machine: {_cpu_model()}, {CORES} cores, Linux {platform.release()}; files on \
{file_system(folder)}
- workertown-kv {package_version("workertown-kv")} ({_commit()}), Python \
{platform.python_version()}, Granian {package_version("granian")}, SQLite \
{apsw.sqlite_lib_version()} (apsw)
- {others}
- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: `{shlex.join(["python", "-m", "bench", *sys.argv[1:]])}`
"""


def table(measured: Sequence[Measurement]) -> Iterator[str]:
    """The lines of a Markdown table, the medians of the rounds, and how quiet it was."""
    names = "scenario | server | load, connections | requests/s | p50 ms | p99 ms | failed"
    yield f"| {names} | CPU µs/request |"
    yield "|---|---|---|--:|--:|--:|--:|--:|"
    for row in dict.fromkeys(one.row for one in measured):
        rounds = [one for one in measured if one.row == row]
        seen = [one.figures for one in rounds]
        scenario, server, load = row
        failed = sum(one.failed for one in seen)
        cells = [
            scenario,
            server,
            f"{load.name}, {load.connections}",
            f"{median(one.per_second for one in seen):,.0f}",
            f"{median(one.p50_ms for one in seen):.2f}",
            f"{median(one.p99_ms for one in seen):.2f}",
            f"**{failed:,} FAILED**" if failed else "0",
            f"{median(one.cpu_us for one in rounds):.1f}",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    most = max(one.others for one in measured)
    yield f"During a measurement other processes used at most {most:.0%} of the machine's CPU."


NOTES = """\
`get`: one value of 100 bytes; ours checks credentials, the others have none to check.
`put`: values of 100 bytes to 10,000 keys in turn, each on the disk before it is answered (SQLite
with synchronous=FULL; Redis with appendonly yes, appendfsync always).
`mixed`: both loads at once; CPU is per request of either. CPU: user and system time of all
processes of a server, Redis included. Failed (all rounds): answers that are not 2xx, and broken
connections."""


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "commit unknown"
