"""Keep the data of engines in memory, where no test waits for a disk."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 * 1024**3
"""More than the engines of a run need; where less is free, they keep their data on the disk."""

_PREFIX: Final = "kv-engine-"


def data_folder(owner: object) -> Path:
    """Make a folder for the data of an engine. It is removed at the latest with its owner.

    Data in memory survives a kill as on a disk: both keep what the engine has given to the kernel.
    """
    root = memory_with(_ROOM) or Path(tempfile.gettempdir())
    _remove_abandoned(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
    # Also if the owner is gone, as long as the process ends in good order.
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


def memory_with(free_bytes: int) -> Path | None:
    """Return a folder in memory if that much is free there: in containers, often it is not."""
    try:
        has_room = shutil.disk_usage(_MEMORY).free >= free_bytes
    except OSError:
        return None
    return _MEMORY if has_room and os.access(_MEMORY, os.W_OK) else None


def _remove_abandoned(root: Path) -> None:
    """Remove the folders of killed test processes, whose names begin with the process number."""
    for folder in root.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)
