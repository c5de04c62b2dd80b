"""Single values, and what is beside them: get, put, delete, metadata."""

from typing import Final

import msgspec

from ....entry import Entry, whole_seconds
from ....errors import PreconditionFailed
from ....namespaces import Namespaces
from ....operations import Delete, Get, Set
from ....storage import Storage, permitted
from ...conditions import etag, read_precondition, write_precondition
from ...envelope import Headers, send_bytes
from ...request import user_of
from ..errors import NOT_FOUND, CloudflareError
from ..rules import Rules
from .call import Call
from .envelope import send_result
from .form import FORM_SLACK, form_of

_BYTES: Final = (b"content-type", b"application/octet-stream")
_FRESH: Final = (b"cache-control", b"no-cache")


class ValueRoutes:
    """What can be done with one value."""

    def __init__(self, storage: Storage, namespaces: Namespaces, rules: Rules) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._rules = rules

    async def get(self, call: Call) -> None:
        """The value's own bytes, whatever they are."""
        entry = await self._entry(call)
        must_match = read_precondition(call.scope, b"if-match")
        if must_match and not must_match.holds(entry.version):
            raise PreconditionFailed
        headers = [etag(entry.version), _FRESH, *_expiration(entry)]
        unseen = read_precondition(call.scope, b"if-none-match")
        if unseen and not unseen.holds(entry.version):
            await call.send({"type": "http.response.start", "status": 304, "headers": headers})
            await call.send({"type": "http.response.body", "body": b""})
            return
        await send_bytes(call.scope, call.send, 200, (entry.value,), [_BYTES, *headers])

    async def metadata(self, call: Call) -> None:
        """The metadata alone."""
        entry = await self._entry(call)
        metadata = None if entry.metadata is None else msgspec.Raw(entry.metadata)
        await send_result(call.scope, call.send, metadata, headers=[etag(entry.version)])

    async def put(self, call: Call) -> None:
        """Write a value; everything that was there is replaced."""
        rules = self._rules
        namespace = (await call.found(self._namespaces)).name
        rules.check_key(call.key)
        user = user_of(call.scope)
        # The storage would refuse it too, but only once the whole body is here.
        user.check_key("write", namespace, call.key)
        asked = call.query()
        # To the Python SDK all numbers are floats, those that it has read here too.
        ttl, expiration = (
            None if one is None else one.removesuffix(".0")
            for one in (asked.get("expiration_ttl"), asked.get("expiration"))
        )
        expires_at = rules.expires_at(ttl, expiration, self._storage.clock())
        precondition = write_precondition(call.scope)
        body = await call.body(rules, rules.value_bytes + FORM_SLACK, "a value")
        form = await form_of(call.scope, body)
        del body  # a form has copies of its parts
        rules.check_value(len(form.value))
        version = await permitted(self._storage, user).set(
            Set(
                namespace=namespace,
                key=call.key,
                value=bytes(form.value),
                is_json=await rules.is_json(form.value),
                metadata=None if form.metadata is None else rules.metadata(form.metadata),
                expires_at=expires_at,
                precondition=precondition,
            )
        )
        await send_result(call.scope, call.send, {}, headers=[etag(version)])

    async def delete(self, call: Call) -> None:
        """Remove a value, if there is one."""
        namespace = (await call.found(self._namespaces)).name
        self._rules.check_key(call.key)
        operation = Delete(namespace, call.key, write_precondition(call.scope))
        await permitted(self._storage, user_of(call.scope)).delete(operation)
        await send_result(call.scope, call.send, {})

    async def _entry(self, call: Call) -> Entry:
        namespace = (await call.found(self._namespaces, fresh=False)).name
        self._rules.check_key(call.key)
        found = await permitted(self._storage, user_of(call.scope)).get(Get(namespace, call.key))
        if found is None:
            raise CloudflareError(404, 10009, NOT_FOUND)
        return found


def _expiration(entry: Entry) -> Headers:
    if entry.expires_at is None:
        return ()
    return ((b"expiration", str(whole_seconds(entry.expires_at)).encode()),)
