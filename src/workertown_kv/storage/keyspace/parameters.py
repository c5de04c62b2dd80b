"""Define the parameters in the URLs of all storages in a Redis."""

from typing import Annotated

import msgspec
from msgspec import Meta


class KeyspaceParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    timeout: Annotated[float, Meta(ge=0.01, le=3600, description="seconds from 0.01 to 3600")] = 5.0
    """Seconds that an operation may take."""
    prefix: Annotated[
        str,
        # A prefix cannot have braces, which mark the part of a key that determines its slot.
        Meta(
            pattern=r"^[!-z|~]{1,100}\Z",
            description="printable ASCII without spaces and braces, at most 100 characters",
        ),
    ] = "kv"
    """The beginning of the names of all keys in Redis."""
