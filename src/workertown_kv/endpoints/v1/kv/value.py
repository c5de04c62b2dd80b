"""Single values: `GET`, `HEAD`, `PUT` and `DELETE` of a key."""

from email.utils import formatdate
from typing import Final

from starlette.types import Receive, Scope, Send

from ....entry import Entry, ascii_json, check_key, whole_seconds
from ....errors import NotAcceptable, NotFound, PreconditionFailed
from ....operations import Delete, Get
from ....options import LimitsOptions
from ....storage import Storage, permitted
from ...conditions import etag, read_precondition, write_precondition
from ...envelope import ENVELOPE_BYTES, send_bytes, send_success
from ...request import check_json, expect, header_list, read_body, user_of
from .bodies import decode_put

BODY_SLACK: Final = 64 * 1024
"""What the body of a `PUT` may have beyond the largest value: its other fields and white space."""

# A cache that may keep a value must ask each time whether it still is the value; without this,
# Expires would let it answer with what has been overwritten. Accept changes the form.
_FRESH: Final = ((b"cache-control", b"no-cache"), (b"vary", b"accept"))
_BYTES: Final = b"application/octet-stream"


class Values:
    """What can be done with one value; the key comes from the path or from the query.

    `space` is its namespace.
    """

    def __init__(self, storage: Storage, limits: LimitsOptions) -> None:
        self._storage = storage
        self._limits = limits

    async def get(self, space: str, key: str, scope: Scope, _: Receive, send: Send) -> None:
        """Answer with the value, in the envelope or as its own bytes."""
        check_key(key, self._limits.key_bytes)
        entry = await self._storage_of(scope).get(Get(space, key))
        if entry is None:
            raise NotFound
        must_match = read_precondition(scope, b"if-match")
        if must_match and not must_match.holds(entry.version):
            raise PreconditionFailed
        headers = [etag(entry.version), *_FRESH, *_described(entry)]
        unseen = read_precondition(scope, b"if-none-match")
        if unseen and not unseen.holds(entry.version):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        elif _wants_bytes(header_list(scope, b"accept")):
            headers.append((b"content-type", _BYTES))
            await send_bytes(scope, send, 200, (entry.value,), headers)
        elif entry.is_json:
            await send_success(scope, send, entry.value, headers)
        else:
            raise NotAcceptable(
                "The value is not JSON; send Accept: application/octet-stream for its bytes"
            )

    async def put(self, space: str, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the value, and answer once it is durable."""
        check_key(key, self._limits.key_bytes)
        precondition = write_precondition(scope)
        check_json(scope)
        # The storage would refuse it too, but only once the whole body is here.
        user_of(scope).check_key("write", space, key)
        most = self._limits.value_bytes + BODY_SLACK
        operation = await decode_put(
            await read_body(
                scope, receive, most, "the body of a PUT", seconds=self._limits.body_seconds
            ),
            namespace=space,
            key=key,
            precondition=precondition,
            limits=self._limits,
            now=self._storage.clock(),
        )
        wants_minimum = _wants_minimum(scope)
        if not wants_minimum:
            expect(scope, len(operation.value) + ENVELOPE_BYTES)
        version = await self._storage_of(scope).set(operation)
        if wants_minimum:
            applied = (b"preference-applied", b"return=minimal")
            await send_success(scope, send, b"null", (etag(version), applied))
        else:
            await send_success(scope, send, operation.value, (etag(version),))

    async def delete(self, space: str, key: str, scope: Scope, _: Receive, send: Send) -> None:
        """Remove the value, if there is one."""
        check_key(key, self._limits.key_bytes)
        operation = Delete(space, key, write_precondition(scope))
        await self._storage_of(scope).delete(operation)
        await send_success(scope, send, b"true")

    def _storage_of(self, scope: Scope) -> Storage:
        return permitted(self._storage, user_of(scope))


def _described(entry: Entry) -> list[tuple[bytes, bytes]]:
    fields = []
    if entry.expires_at is not None:
        gone = formatdate(whole_seconds(entry.expires_at), usegmt=True)
        fields.append((b"expires", gone.encode()))
    if entry.metadata is not None:
        fields.append((b"x-kv-metadata", ascii_json(entry.metadata).encode()))
    return fields


def _wants_bytes(accept: bytes | None) -> bool:
    """Whether `Accept` names the value's own bytes, and does not like JSON better."""
    if accept is None or _BYTES not in accept.lower():
        return False
    quality = {b"application/json": 0.0, _BYTES: 0.0}
    for part in accept.lower().split(b","):
        media_type, *parameters = (piece.strip() for piece in part.split(b";"))
        if media_type in quality:
            quality[media_type] = _quality(parameters)
    return quality[_BYTES] > 0 and quality[_BYTES] >= quality[b"application/json"]


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _wants_minimum(scope: Scope) -> bool:
    prefer = header_list(scope, b"prefer")
    if prefer is None:
        return False
    plain = prefer.lower().replace(b" ", b"").replace(b'"', b"")
    return b"return=minimal" in [one.partition(b";")[0] for one in plain.split(b",")]
