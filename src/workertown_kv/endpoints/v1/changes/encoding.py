"""Encode changes as JSON and as server-sent events."""

import base64
from collections.abc import Callable
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, json

from ....changes import Published
from ....operations import Event
from ...schemas import ExpiresAt, Key, Metadata, Version
from ..shown_expiry import shown_expiry

_encode: Final = json.Encoder().encode


class ChangeData(Struct, omit_defaults=True, gc=False):
    """A change of an entry, or of all entries with a prefix."""

    event: Annotated[
        str,
        Meta(
            description="What happened",
            extra_json_schema={"enum": ["set", "touch", "delete", "expire", "delete_prefix"]},
        ),
    ]
    key: Key | UnsetType = UNSET
    prefix: (
        Annotated[str, Meta(description="Of delete_prefix: the prefix of the deleted keys")]
        | UnsetType
    ) = UNSET
    namespace: (
        Annotated[str, Meta(description="The namespace, if all are watched: default, or its id")]
        | UnsetType
    ) = UNSET
    version: Version | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    value: Annotated[Raw, Meta(description="The value, while it has this version")] | UnsetType = (
        UNSET
    )
    base64: (
        Annotated[str, Meta(description="The bytes of a value that is not JSON")] | UnsetType
    ) = UNSET
    value_bytes: (
        Annotated[int, Meta(description="The size of a value that is too large to be here")]
        | UnsetType
    ) = UNSET


class ChangesPage(Struct, gc=False):
    """A page of changes."""

    changes: list[Raw]
    cursor: Annotated[str, Meta(description="Asks for the changes after this page")]
    complete: Annotated[
        bool, Meta(description="Whether there are no further changes at the moment")
    ]


class Form(Struct, frozen=True):
    """What the text of a change has besides the change."""

    values: bool
    namespaces: bool
    """Whether it names the namespace."""
    precise: bool = False
    """Whether its expiry has fractions of a second."""


def change_json(published: Published, form: Form) -> bytes:
    """Return a change as JSON."""
    text = published.texts.get(form)
    if text is None:
        text = published.texts[form] = _encode(_data(published, form))
    return text


def change_event(published: Published, form: Form, seal: Callable[[str], str]) -> bytes:
    """Return a change as a server-sent event."""
    kind = (form, "event")
    text = published.texts.get(kind)
    if text is None:
        cursor = published.cursor
        text = event(
            published.change.event,
            change_json(published, form),
            None if cursor is None else seal(cursor),
        )
        published.texts[kind] = text
    return text


def event(name: str, data: bytes = b"{}", id: str | None = None) -> bytes:
    """Return a server-sent event (HTML, 9.2.6)."""
    # A line feed in JSON is white space. A reader joins the lines again.
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    head = b"" if id is None else b"id: %b\n" % id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), lines)


def _data(published: Published, form: Form) -> ChangeData:
    change = published.change
    is_prefix = change.event is Event.DELETE_PREFIX
    data = ChangeData(
        change.event.value,
        key=UNSET if is_prefix else change.key,
        prefix=change.key if is_prefix else UNSET,
        version=change.version or UNSET,
        expires_at=shown_expiry(change.expires_at, is_precise=form.precise),
        metadata=UNSET if change.metadata is None else Raw(change.metadata),
    )
    if form.namespaces:
        data.namespace = change.namespace
    if form.values:
        if published.value_bytes is not None:
            data.value_bytes = published.value_bytes
        elif published.value is not None and published.is_json:
            data.value = Raw(published.value)
        elif published.value is not None:
            data.base64 = base64.b64encode(published.value).decode()
    return data
