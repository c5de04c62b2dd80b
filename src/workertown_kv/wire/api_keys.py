"""Define an API key as the admin endpoints send it, and decode API keys."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..user import Scope


class StoredKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API key, without its secret."""

    name: Annotated[str, Meta(description="The name, which no other stored API key has")]
    created_at: Annotated[int, Meta(description="When it was made, in Unix seconds")]
    created_by: Annotated[
        str | None,
        Meta(
            description="The user who made it, after the strategy: `basic:ada`. Left out if the "
            "command made it in the storage itself"
        ),
    ] = None
    scopes: Annotated[
        tuple[Scope, ...] | None, Meta(description="What it permits; without scopes, everything")
    ] = None
    not_before: Annotated[
        int | None, Meta(description="From when it is valid, in Unix seconds")
    ] = None
    expires_at: Annotated[int | None, Meta(description="When it expires, in Unix seconds")] = None


class NewKey(StoredKey, frozen=True, kw_only=True, omit_defaults=True):
    """A new API key, with its secret."""

    api_key: Annotated[
        str, Meta(description="The key itself, which the server keeps only as a hash")
    ]

    def stored(self) -> StoredKey:
        """Return the key without its secret."""
        fields = msgspec.structs.asdict(self)
        del fields["api_key"]
        return StoredKey(**fields)


_NEW: Final = msgspec.json.Decoder(NewKey)
_ONE: Final = msgspec.json.Decoder(StoredKey)
_ALL: Final = msgspec.json.Decoder(list[StoredKey])


def decode_new_key(data: bytes) -> NewKey:
    """Return the new API key in an answer. Raises `ValueError` for data of another form."""
    return _NEW.decode(data)


def decode_key(data: bytes) -> StoredKey:
    """Return the API key in an answer. Raises `ValueError` for data of another form."""
    return _ONE.decode(data)


def decode_keys(data: bytes) -> list[StoredKey]:
    """Return the API keys in an answer. Raises `ValueError` for data of another form."""
    return _ALL.decode(data)
