"""Define what the forms of files have in common: blocks of bytes on one side, entries on the other.

Nothing here, or in the forms, does I/O.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..entry import DEFAULT_NAMESPACE, Entry
from ..errors import InputError
from ..namespaces import Namespace
from ..operations import Set

Item = Namespace | Set
"""What a file has: the namespace of the entries after it, or an entry."""


class Encoder(Protocol):
    """Encodes the contents of a store, part after part."""

    def begin(self, at: float) -> bytes:
        """Return the bytes before everything else; `at` is the time of now."""

    def namespace(self, namespace: Namespace) -> bytes:
        """Return the bytes before the entries of a namespace."""

    def entries(self, entries: Sequence[Entry]) -> bytes:
        """Return the bytes of some entries."""

    def end(self) -> bytes:
        """Return the bytes after everything else."""


class Decoder(Protocol):
    """Decodes a file, block after block."""

    namespace: str = DEFAULT_NAMESPACE
    """The name of the namespace of the entries to come; the caller sets it between two items."""

    @property
    def pending_bytes(self) -> int:
        """Return the size of the line or pair that is not whole yet."""

    def feed(self, block: bytes) -> Iterator[Item]:
        """Yield what the file says up to here. Raises `BadFile`."""

    def finish(self) -> Iterator[Item]:
        """Yield what the end of the file says. Raises `BadFile` if the file is not whole."""


class BadFile(InputError):
    """A file is not what an import accepts; the message says where, and what is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
