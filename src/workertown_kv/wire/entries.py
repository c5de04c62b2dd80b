"""Decode entries as the native API sends them, in results, listings and changes."""

import base64

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..entry import Entry


class Fields(msgspec.Struct, gc=False):
    """The fields with which an entry is sent."""

    key: str
    version: str | UnsetType | None = UNSET
    value: Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    """JSON text that a JSON value would not keep, because of white space around it."""
    base64: str | UnsetType = UNSET
    expires_at: float | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET

    def entry(self) -> Entry:
        """Return the entry, which has a version and a value."""
        value, is_json = self._value()
        return Entry(
            key=self.key,
            version=self.version or "",
            value=value,
            is_json=is_json,
            expires_at=expiry_in(self.expires_at),
            metadata=metadata_in(self.metadata),
        )

    def _value(self) -> tuple[bytes, bool]:
        if self.base64 is not UNSET:
            return base64.b64decode(self.base64), False
        if self.text is not UNSET:
            return self.text.encode(), True
        return (b"null" if self.value is UNSET else bytes(self.value)), True


def metadata_in(field: Raw | UnsetType) -> bytes | None:
    """Return metadata, `None` if the field is missing."""
    return None if field is UNSET else bytes(field)


def expiry_in(field: float | UnsetType) -> float | None:
    """Return an expiry, `None` if the field is missing."""
    return None if field is UNSET else float(field)
