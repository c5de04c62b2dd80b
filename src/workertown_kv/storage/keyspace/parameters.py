"""The parameters that the URLs of all storages in a Redis take."""

from typing import Annotated

import msgspec
from msgspec import Meta


class KeyspaceParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What may stand after the `?`, and what holds without it."""

    timeout: Annotated[float, Meta(ge=0.01, le=3600, description="seconds from 0.01 to 3600")] = 5.0
    """Seconds that an operation may take."""
    prefix: Annotated[
        str,
        # Braces mark the part of a key that decides on its slot.
        Meta(
            pattern=r"^[!-z|~]{1,100}\Z",
            description="printable ASCII without spaces and braces, at most 100 characters",
        ),
    ] = "kv"
    """What the names of all keys in Redis begin with."""
