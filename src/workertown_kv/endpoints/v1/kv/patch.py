"""Handle `PATCH`: changes of a value, a number, a lifetime or metadata, in one step."""

from ....entry import Entry, check_key
from ....errors import KvError, NotFound
from ....http.answer import Answer
from ....http.body import read_body
from ....http.conditions import write_precondition
from ....http.exchange import Exchange
from ....http.trail import storage_for
from ....operations import Result, Touch, Update, Updated
from ....options import LimitsOptions
from ....storage import Storage
from ....updates import Target
from .expiry import is_precise
from .idempotency import FIELD, Once
from .patch_bodies import decode_patch, patch_type_of
from .reserving import reserving
from .target import Find
from .value import BODY_SLACK, version_answer, wants_minimum


class Patches:
    """Handles requests to patch a value."""

    def __init__(self, find: Find, storage: Storage, limits: LimitsOptions) -> None:
        self._find = find
        self._storage = storage
        self._limits = limits

    async def patch(self, exchange: Exchange) -> Answer:
        """Patch the value, and answer once the change is durable."""
        namespace, key, parameters = await self._find(exchange)
        limits = self._limits
        check_key(key, limits.key_bytes)
        target = Target(namespace, key, write_precondition(exchange))
        media_type = patch_type_of(exchange)
        # The storage would refuse the write too, but only after the whole body has arrived.
        exchange.user.check_key("write", namespace, key)
        most = limits.patch_bytes + BODY_SLACK
        body = await read_body(exchange, most, "the body of a PATCH", seconds=limits.body_seconds)
        once = None
        if FIELD in exchange.fields:
            once = Once(exchange, self._storage, limits, namespace, body)
        operation = await decode_patch(
            media_type,
            body,
            target,
            limits,
            self._storage.clock(),
            is_precise=is_precise(parameters),
        )
        del body
        is_minimal = wants_minimum(exchange)
        if isinstance(operation, Update) and operation.reads and not is_minimal:
            operation = reserving(exchange, operation)
        if once is not None:
            return await once.answer(
                [operation], lambda results: _answer(operation, results[0], is_minimal=is_minimal)
            )
        storage = storage_for(exchange, self._storage)
        result: Result
        if isinstance(operation, Touch):
            result = await storage.touch(operation)
        else:
            result = await storage.update(operation)
        return _answer(operation, result, is_minimal=is_minimal)


def _answer(operation: Touch | Update, result: Result, *, is_minimal: bool) -> Answer:
    match result:
        case KvError():
            raise result
        case Updated(after=Entry() as after):
            data = after.value if isinstance(operation, Update) and operation.reads else b"true"
            return version_answer(data, after.version, is_minimal=is_minimal)
        case str() as version:
            return version_answer(b"true", version, is_minimal=is_minimal)
    raise NotFound
