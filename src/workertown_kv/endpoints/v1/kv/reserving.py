"""Reserve the memory for the value in the answer to an update, before the update writes."""

import msgspec

from ....http.exchange import Exchange
from ....operations import Update
from ....updates import Reserving
from ..envelope import ENVELOPE_BYTES


def reserving(exchange: Exchange, operation: Update) -> Update:
    """Return the update, which is refused where there is no memory for the value in the answer.

    After the write, the answer could no longer be refused.
    """
    decide = Reserving(operation.decide, exchange.expect, ENVELOPE_BYTES)
    return msgspec.structs.replace(operation, decide=decide)
