"""Reads what processes use: CPU time and memory."""

import os
from collections.abc import Iterable
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Final

CORES: Final = os.cpu_count() or 1
_TICKS: Final = os.sysconf("SC_CLK_TCK")
# Counted from the field after the name: proc(5) calls them 4 and 14 to 17.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return the CPU time so far of these processes and of all that descend from them."""
    stats = dict(_stats())
    # The times include those of children that have ended, so that the sum loses nothing when a
    # child ends: Redis rewrites its file in one.
    return sum(int(ticks) for pid in _tree(roots, stats) for ticks in stats[pid][_TIMES]) / _TICKS


def others_seconds(roots: Iterable[int]) -> float:
    """Return the CPU time of this machine without these processes and our ended children."""
    whole = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _idle, _waiting, *interrupts, _guest, _guest_nice = map(int, whole)
    busy = (user + nice + system + sum(interrupts)) / _TICKS
    ended = getrusage(RUSAGE_CHILDREN)
    return busy - ended.ru_utime - ended.ru_stime - cpu_seconds(roots)


def memory_mb(roots: Iterable[int]) -> float:
    """Return the memory of these process trees; pages that processes share count once."""
    return _memory(roots, "smaps_rollup", "Pss:")


def forget_peak(roots: Iterable[int]) -> None:
    """Let `peak_mb` count from now on: filling a server may need more than the load."""
    for pid in _tree(roots, dict(_stats())):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(roots: Iterable[int]) -> float:
    """Return the sum of the most memory that each process of these trees has had."""
    return _memory(roots, "status", "VmHWM:")


def resident_mb(roots: Iterable[int]) -> float:
    """Return the sum of the memory that each process of these trees has now."""
    return _memory(roots, "status", "VmRSS:")


def _memory(roots: Iterable[int], file: str, field: str) -> float:
    total = 0
    for pid in _tree(roots, dict(_stats())):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(field):
                total += int(line.split()[1])
    return total * 1024 / 1e6


def _tree(roots: Iterable[int], stats: dict[int, list[str]]) -> set[int]:
    tree: set[int] = set()
    found = set(roots)
    while found:
        tree |= found
        found = {pid for pid, stat in stats.items() if int(stat[_PARENT]) in tree} - tree
    return tree


def _stats() -> Iterable[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # the process has ended since
        # The name is in parentheses and may hold anything, parentheses too.
        yield int(path.parent.name), stat.rpartition(")")[2].split()
