"""Write a large value as the body of a request, without JSON or base64 around it."""

import re
from typing import Final

import httpx2
from msgspec import UNSET

from ...operations import Precondition, Set
from .connection import Query, Request

LARGE_BYTES: Final = 64 * 1024
"""A larger value is written this way."""

_TAG: Final = re.compile(r"[\x21\x23-\x7e]*")
_TEXT: Final = re.compile(rb"[\x20-\x7e\x80-\xff]*")


def put_request(path: str, operation: Set, space: Query) -> Request | None:
    """Return the request for a set, `None` if its metadata or precondition fit no header field."""
    query: Query = {"key": operation.key, "precise": "true", **space}
    fields = {"Content-Type": b"application/octet-stream", "Prefer": b"return=minimal"}
    if not operation.is_json:
        query["bytes"] = "true"
    if operation.expires_at is not None:
        query["expires_at"] = repr(operation.expires_at)
    if operation.metadata is not None:
        if not _TEXT.fullmatch(operation.metadata):
            return None
        fields["X-KV-Metadata"] = operation.metadata
    if operation.precondition is not None:
        tags = _tags(operation.precondition)
        if tags is None:
            return None
        fields["If-None-Match" if operation.precondition.negated else "If-Match"] = tags
    return Request(
        method="PUT",
        path=path,
        query=query,
        fields=fields,
        body=operation.value,
        writes=True,
    )


def version_in(response: httpx2.Response) -> str:
    """Return the version of the entry that a request has written."""
    tag: str = response.headers.get("etag", "")
    return tag.removeprefix("W/").strip('"')


def _tags(precondition: Precondition) -> bytes | None:
    versions = precondition.versions
    if precondition.expires_at is not UNSET or versions == ():
        return None
    if versions is None:
        return b"*"
    if not all(map(_TAG.fullmatch, versions)):
        return None
    return ", ".join(f'"{version}"' for version in versions).encode()
