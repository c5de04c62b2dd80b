"""Reserve the memory for the value in the answer to an update, before the update writes."""

import msgspec

from ....entry import Entry
from ....http.exchange import Exchange
from ....operations import Decision, Delete, Set, Update
from ..envelope import ENVELOPE_BYTES


def reserving(exchange: Exchange, operation: Update) -> Update:
    """Return the update, which is refused where there is no memory for the value in the answer.

    After the write, the answer could no longer be refused.
    """
    decide = operation.decide
    reserved = 0

    def decide_in_memory(entry: Entry | None) -> Decision:
        nonlocal reserved
        write = decide(entry)
        size = 0
        if isinstance(write, Set):
            size = len(write.value) + ENVELOPE_BYTES
        elif isinstance(write, Delete) and entry is not None:
            size = len(entry.value) + ENVELOPE_BYTES
        # An update may decide several times.
        if size > reserved:
            exchange.expect(size - reserved)
            reserved = size
        return write

    return msgspec.structs.replace(operation, decide=decide_in_memory)
