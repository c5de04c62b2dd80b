"""Decode the body that asks for an API key, and encode the answers."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ....credentials import NAME_CHARACTERS
from ....entry import MAX_EXPIRES_AT, lifetime, whole_seconds
from ....errors import InputError
from ....user import Scope, check_scopes
from ....wire.api_keys import NewKey, StoredKey
from ...schemas import Json, Ttl
from ..kv.decoding import check_syntax, invalid, located


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new API key permits, and for how long."""

    name: Annotated[
        str,
        Meta(description="A name that no API key in the storage has, without colons and slashes"),
    ]
    scopes: Annotated[
        tuple[Scope, ...] | None,
        Meta(description="What it permits; without scopes, everything. Never more than you may do"),
    ] = None
    ttl: Ttl | None = None
    expires_at: Annotated[
        int | None, Meta(description="When it expires, in Unix seconds; not with ttl")
    ] = None
    not_before: Annotated[
        int | None, Meta(description="From when it is valid, in Unix seconds")
    ] = None

    def expiry(self, now: float) -> int | None:
        """Return when the key expires. Raises `InputError` for times that make no sense."""
        expires_at = lifetime(ttl=self.ttl, expires_at=self.expires_at, now=now)
        end = None if expires_at is None else whole_seconds(expires_at)
        if self.not_before is not None and not (
            0 <= self.not_before < (MAX_EXPIRES_AT if end is None else end)
        ):
            raise invalid(("not_before",), "Expected Unix seconds before the key expires")
        return end


NARROWED: Final[Mapping[str, Json]] = {
    "KeyBody.name": {
        "minLength": 1,
        "maxLength": NAME_CHARACTERS,
        "pattern": "^[^:/\\x00-\\x1f\\x7f]+$",
    }
}
"""What the types cannot express, for the OpenAPI document."""

_HINT: Final = 'expected a JSON object, as in {"name": "ci", "scopes": [{"verbs": ["read"]}]}'
_DECODER: Final = msgspec.json.Decoder(KeyBody)
_MOST_CHARACTERS: Final = 300


def decode_key(body: bytes | bytearray) -> KeyBody:
    """Return what a body asks for. Raises `InputError`."""
    check_syntax(body, _HINT)
    try:
        decoded = _DECODER.decode(body)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _explained(str(error)) from error
    try:
        check_scopes(decoded.scopes or ())
    except ValueError as error:
        raise invalid(("scopes",), str(error)) from error
    return decoded


def _explained(message: str) -> InputError:
    text, path = located(message)
    if not path and "field" not in text:
        return invalid((), _HINT.capitalize())
    if "unknown field" in text:
        fields = Scope.__struct_fields__ if path else KeyBody.__struct_fields__
        text = f"{text}; expected {', '.join(fields)}"
    return invalid(path, text[:_MOST_CHARACTERS])


def new_key(text: str, key: StoredKey) -> NewKey:
    """Return the answer with a new key and its text."""
    return NewKey(api_key=text, **msgspec.structs.asdict(key))
