"""Reserve space on a disk, and find the type of its file system."""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .failures import no_space

_KEEP_SIZE: Final = 1
_NETWORKS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ceph",
        "lustre",
        "afs",
        "fuse.sshfs",
        "fuse.glusterfs",
    }
)


def _fallocate_of_system() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    # On 32-bit machines, glibc's `fallocate` takes sizes of 32 bits; musl has no other function.
    return getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)


_fallocate: Final = _fallocate_of_system()


def allocate(descriptor: int, size: int, *, keeps_size: bool = False) -> None:
    """Reserve disk space for a file, if the system can do that without writing.

    `os.posix_fallocate` would write if the file system cannot, while other processes write too.
    """
    if _fallocate is None:
        return
    mode = _KEEP_SIZE if keeps_size else 0
    while _fallocate(descriptor, mode, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
        match ctypes.get_errno():
            case errno.EINTR:
                continue
            case errno.ENOSPC | errno.EDQUOT:
                raise no_space()
        return


def network_of(path: Path) -> str | None:
    """Return the type of the network file system that has a file, `None` on a disk."""
    kind = file_system(path)
    return kind if kind in _NETWORKS else None


def file_system(path: Path) -> str:
    """Return the type of the file system of a file, or no text if Linux does not say."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    for mount in mounts:
        details, _, kind = mount.partition(" - ")
        if details.split()[2] == number:
            return kind.split()[0]
    return ""
