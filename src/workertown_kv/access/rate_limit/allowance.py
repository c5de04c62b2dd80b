"""What a limiter says of a client."""

import msgspec


class Allowance(msgspec.Struct, frozen=True):
    """Whether a client may send a request, and what it may do after that."""

    allowed: bool
    remaining: int | None
    """How many more requests it may send now; `None` where that is not known."""
    retry_after: int
    """In how many seconds it may send more of them."""
