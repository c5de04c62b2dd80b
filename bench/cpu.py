"""CPU time: of a server, and of whatever disturbs it."""

import os
from collections.abc import Iterable
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
# Counted from the field after the name: proc(5) calls them 4 and 14 to 17.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)


def cpu_seconds(roots: Iterable[int]) -> float:
    """What these processes and all that descend from them have used so far."""
    stats = dict(_stats())
    tree: set[int] = set()
    found = set(roots)
    while found:
        tree |= found
        found = {pid for pid, stat in stats.items() if int(stat[_PARENT]) in tree} - tree
    # The times include those of children that have ended, so that the sum loses nothing when
    # one does (Redis rewrites its file in a child).
    return sum(int(ticks) for pid in tree for ticks in stats[pid][_TIMES]) / _TICKS


def others_seconds(roots: Iterable[int]) -> float:
    """What everything on this machine has used but these servers and our children that ended."""
    whole = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _idle, _waiting, *interrupts, _guest, _guest_nice = map(int, whole)
    busy = (user + nice + system + sum(interrupts)) / _TICKS
    ended = getrusage(RUSAGE_CHILDREN)
    return busy - ended.ru_utime - ended.ru_stime - cpu_seconds(roots)


def _stats() -> Iterable[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
        # The name is in parentheses and may hold anything, parentheses too.
        yield int(path.parent.name), stat.rpartition(")")[2].split()
