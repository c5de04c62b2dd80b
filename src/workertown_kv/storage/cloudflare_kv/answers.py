"""Decode the metadata in answers."""

import msgspec


def metadata_text(metadata: msgspec.Raw | msgspec.UnsetType) -> str | None:
    """Return metadata as compact JSON, whatever the layout of the answer; `None` for `null`."""
    if metadata is msgspec.UNSET or metadata == b"null":
        return None
    return msgspec.json.format(bytes(metadata), indent=-1).decode()
