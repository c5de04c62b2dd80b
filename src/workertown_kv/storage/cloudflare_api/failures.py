"""Translate the failures that Cloudflare's API has in common to errors of a storage."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..unreached import because

_UNSURE: Final = "the write may or may not have happened"
_TOKEN: Final = frozenset({6003, 9106, 9109, 10000})
"""The codes for a token that is malformed, unknown, expired, or without the permission."""


class Detail(msgspec.Struct, frozen=True):
    """One of the errors in an answer."""

    code: int = 0
    message: str = ""


class Failure(msgspec.Struct, frozen=True):
    """An answer that is not a success."""

    status: int
    errors: Sequence[Detail] | None
    """`None` if the answer is not of Cloudflare's API."""
    writes: bool

    @property
    def codes(self) -> set[int]:
        """The codes of the errors."""
        return {error.code for error in self.errors or ()}

    @property
    def shown(self) -> str:
        """What a message says about the answer."""
        return f"status {self.status}" + "".join(
            f", code {one.code}: {one.message}" for one in self.errors or ()
        )


class Refused(StorageError):
    """Cloudflare refuses this request, however often a client sends it."""


class _Errors(msgspec.Struct, frozen=True):
    errors: Sequence[Detail] | None = None


_ERRORS: Final = msgspec.json.Decoder(_Errors)


def failure_in(status: int, body: bytes, *, writes: bool) -> Failure:
    """Decode an answer that is not a success."""
    try:
        errors = _ERRORS.decode(body).errors or ()
    except (msgspec.DecodeError, RecursionError):
        return Failure(status, None, writes)
    return Failure(status, errors, writes)


def common_error(
    failure: Failure, endpoint: str, account: str, permission: str
) -> StorageError | None:
    """Return the error for a failure that any request may have; `None` for others.

    `permission` names the permission that the token needs, without its last word.
    """
    status = failure.status
    if 300 <= status < 400:
        return StorageError(
            f"{endpoint} redirects to another URL; expected the URL of Cloudflare's API"
        )
    if status in (401, 403) or (status < 500 and failure.codes & _TOKEN):
        return StorageError(
            f"Cloudflare refuses the token ({failure.shown}); expected a token for the account "
            f"{account} with the permission {permission} Write, or {permission} Read if nothing is "
            "written",
            StorageFailure.REFUSED,
        )
    if failure.errors is None:
        return foreign(failure.shown, writes=failure.writes)
    if status >= 500:
        return StorageUnavailable(
            f"Cloudflare failed ({failure.shown})" + doubt(writes=failure.writes)
        )
    return None


def too_many_requests(seconds: int) -> StorageUnavailable:
    """Return the error while Cloudflare takes no more requests for some seconds."""
    return StorageUnavailable(
        f"Cloudflare takes no more requests; try again in {seconds} s",
        StorageFailure.BUSY,
        retry_after=seconds,
    )


def foreign(shown: str, *, writes: bool) -> StorageUnavailable:
    """Return the error for an answer that comes from another program, such as a proxy."""
    return StorageUnavailable(
        f"The answer is not of Cloudflare's API ({shown})" + doubt(writes=writes)
    )


def lost(error: Exception | None = None, *, may_be_done: bool) -> StorageUnavailable:
    """Return the error for a request without an answer, which may be a write that was done."""
    if may_be_done:
        return StorageUnavailable("Cloudflare did not answer" + doubt(writes=True))
    return StorageUnavailable(f"Cloudflare does not answer{because(error)}")


def doubt(*, writes: bool) -> str:
    """Return the end of a message about a request that may be a write."""
    return f"; {_UNSURE}" if writes else ""
