"""Remember how far the import of a file has come, so that the next run continues there."""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ...errors import NamespaceNotFound
from ...operations import Get
from ...storage import Storage
from ...transfer.writing import Tally

_SECONDS: Final = 1.0
"""How often the state is written."""


class _State(msgspec.Struct, frozen=True):
    file: str
    """The identity of the file, which changes with its contents."""
    how: str
    """The flags of the import."""
    tally: Tally


class Resume:
    """Keeps a file beside the imported file, until the import is done.

    If it cannot be written, an import that did not end begins again, which does no harm.
    """

    def __init__(self, name: str, identity: str, target: str, how: str) -> None:
        digest = hashlib.sha256(target.encode()).hexdigest()[:8]
        path = Path(name)
        self._path = path.with_name(f".{path.name}.{digest}.resume")
        self._identity = identity
        self._how = how
        self._next = time.monotonic() + _SECONDS

    async def tally(self, storage: Storage) -> Tally | None:
        """Return what an earlier run has done in this storage; `None` if there was no such run.

        If the storage lacks the last entry of that run, it may be a new storage with an old name,
        so the import begins again.
        """
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=_State)
        except (OSError, msgspec.MsgspecError):
            return None
        if (state.file, state.how) != (self._identity, self._how):
            return None
        tally = state.tally
        if tally.last_key is None or tally.last_namespace is None:
            return Tally()
        try:
            last = await storage.get(Get(tally.last_namespace, tally.last_key))
        except NamespaceNotFound:
            last = None
        return Tally() if last is None else tally

    def note(self, tally: Tally) -> None:
        """Remember what is done, from time to time."""
        if time.monotonic() >= self._next:
            self.keep(tally)

    def keep(self, tally: Tally) -> None:
        """Remember what is done."""
        self._next = time.monotonic() + _SECONDS
        new = self._path.with_name(f"{self._path.name}.new")
        with suppress(OSError):
            new.write_bytes(msgspec.json.encode(_State(self._identity, self._how, tally)))
            os.replace(new, self._path)  # noqa: PTH105

    def forget(self) -> None:
        """Remove the state, since the import is done."""
        with suppress(OSError):
            self._path.unlink()
