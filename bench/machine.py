"""Says what a run was made on: the machine, the file system, and the versions."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import apsw

from .programs import installed
from .usage import CORES


def machine(folder: Path) -> str:
    """Return the processor, the cores, the kernel and the file system of the folder."""
    files = file_system(folder)
    return f"{_processor()}, {CORES} cores, Linux {platform.release()}; files on {files}"


def file_system(folder: Path) -> str:
    """Return the type of the file system that the folder is on."""
    command = ["df", "--output=fstype", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def versions() -> dict[str, str]:
    """Return the versions of all that takes part."""
    return {
        "workertown-kv": f"{version('workertown-kv')} ({_commit()})",
        "Python": platform.python_version(),
        "SQLite": f"{apsw.sqlite_lib_version()} (apsw)",
        **installed(),
    }


def _processor() -> str:
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
