"""Single values, and what is beside them: get, put, delete, metadata."""

from typing import Final

import msgspec

from ....entry import Entry, whole_seconds
from ....http.answer import Answer, Fields
from ....http.conditions import etag, unchanged, write_precondition
from ....namespaces import Namespaces
from ....operations import Delete, Get, Set
from ....storage import Storage, permitted
from ..errors import NOT_FOUND, CloudflareError
from ..limits import Limits
from .call import Call
from .envelope import answer_with
from .form import FORM_SLACK, form_of

_BYTES: Final = (b"content-type", b"application/octet-stream")
_FRESH: Final = (b"cache-control", b"no-cache")


class ValueRoutes:
    """What can be done with one value."""

    def __init__(self, storage: Storage, namespaces: Namespaces, limits: Limits) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._limits = limits

    async def get(self, call: Call) -> Answer:
        """The value's own bytes, whatever they are."""
        entry = await self._entry(call)
        fields = [etag(entry.version), _FRESH, *_expiration(entry)]
        known = unchanged(call.exchange, entry.version, fields)
        return known or Answer(200, [_BYTES, *fields], (entry.value,))

    async def metadata(self, call: Call) -> Answer:
        """Answer with only the metadata."""
        entry = await self._entry(call)
        metadata = None if entry.metadata is None else msgspec.Raw(entry.metadata)
        return answer_with(metadata, fields=[etag(entry.version)])

    async def put(self, call: Call) -> Answer:
        """Write a value; everything that was there is replaced."""
        limits = self._limits
        namespace = (await call.found(self._namespaces)).name
        limits.check_key(call.key)
        user = call.exchange.user
        # The storage would refuse it too, but only once the whole body is here.
        user.check_key("write", namespace, call.key)
        asked = call.query()
        # To the Python SDK all numbers are floats, those that it has read here too.
        ttl, expiration = (
            None if one is None else one.removesuffix(".0")
            for one in (asked.get("expiration_ttl"), asked.get("expiration"))
        )
        expires_at = limits.expires_at(ttl, expiration, self._storage.clock())
        precondition = write_precondition(call.exchange)
        body = await call.body(limits, limits.value_bytes + FORM_SLACK, "a value")
        form = await form_of(call.exchange, body)
        del body  # a form has copies of its parts
        limits.check_value(len(form.value))
        version = await permitted(self._storage, user).set(
            Set(
                namespace=namespace,
                key=call.key,
                value=bytes(form.value),
                is_json=await limits.is_json(form.value),
                metadata=None if form.metadata is None else limits.metadata(form.metadata),
                expires_at=expires_at,
                precondition=precondition,
            )
        )
        return answer_with({}, fields=[etag(version)])

    async def delete(self, call: Call) -> Answer:
        """Remove a value, if there is one."""
        namespace = (await call.found(self._namespaces)).name
        self._limits.check_key(call.key)
        operation = Delete(namespace, call.key, write_precondition(call.exchange))
        await permitted(self._storage, call.exchange.user).delete(operation)
        return answer_with({})

    async def _entry(self, call: Call) -> Entry:
        namespace = (await call.found(self._namespaces, fresh=False)).name
        self._limits.check_key(call.key)
        found = await permitted(self._storage, call.exchange.user).get(Get(namespace, call.key))
        if found is None:
            raise CloudflareError(404, 10009, NOT_FOUND)
        return found


def _expiration(entry: Entry) -> Fields:
    if entry.expires_at is None:
        return ()
    return ((b"expiration", str(whole_seconds(entry.expires_at)).encode()),)
