"""Define the limits of a server, which clients of a file or a database keep as well."""

from typing import Final

from ..nesting import JSON_DEPTH
from .group import Group

_SLACK: Final = 8 * 1024 * 1024
"""The memory for the keys and metadata that requests have besides values."""


class LimitsOptions(Group, frozen=True):
    """The largest sizes that the server accepts."""

    value_bytes: int = 25 * 1024 * 1024
    """The largest value; more is 413."""
    key_bytes: int = 2048
    """The longest key, in UTF-8; more is 414."""
    batch_operations: int = 1000
    """The most operations in a batch; more is 400."""
    batch_bytes: int = 32 * 1024 * 1024
    """The largest body of a batch, and the most bytes of values that a batch returns."""
    patch_bytes: int = 1024 * 1024
    """The largest value that can be patched, and the largest body of a patch; more is 413."""
    json_depth: int = JSON_DEPTH
    """How deep arrays and objects may be nested in a value or in metadata; more is 400.
    Cloudflare's APIs keep a deeper value as bytes."""
    body_seconds: int = 30
    """The seconds in which a body must arrive, plus one second for each 16 KiB; then 408."""

    memory_bytes: int | None = None
    """The memory that the bodies and answers of all requests may take in a process; more is 503.
    One user gets at most half. The default is a quarter of the machine's memory, but at least
    264 MiB."""

    def check(self) -> None:
        self.check_at_least(1, *(set(self.__struct_fields__) - {"memory_bytes"}))
        if self.memory_bytes is not None and self.memory_bytes < self.least_memory():
            raise ValueError(
                f"memory_bytes is {self.memory_bytes}; expected at least "
                f"{self.least_memory()}, of which one user gets half for the largest request "
                "that value_bytes and batch_bytes allow"
            )

    def least_memory(self) -> int:
        """Return twice the memory that the largest request needs, since one user gets half."""
        # The body, its value and the answer; a batch also reads values for its answer.
        return 2 * max(3 * self.value_bytes, 4 * self.batch_bytes) + _SLACK
