"""State the limits of D1, through its binding and through Cloudflare's REST API."""

from typing import Final

from .database import Limits

LIMITS: Final = Limits(
    engine="D1",
    # D1 keeps rows of 2,000,000 bytes; the rest is for the key and the other columns.
    value_bytes=1_995_000,
    read_bytes=16 * 1024 * 1024,
)

NO_CHANGES: Final = "D1 charges for each row that is written, and would have to be polled."
