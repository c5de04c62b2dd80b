"""Translate failures of DynamoDB to errors of a storage."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import StorageError, StorageFailure, StorageUnavailable

_THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "ThrottlingError",
    }
)
_CONFLICTS: Final = frozenset({"TransactionConflictException", "ReplicatedWriteConflictException"})
_IN_PROGRESS: Final = "TransactionInProgressException"
_CREDENTIALS: Final = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
THROTTLED_REASONS: Final = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})
CONFLICT_REASON: Final = "TransactionConflict"
FAILED_REASON: Final = "ConditionalCheckFailed"

_UNSURE: Final = "the write may or may not have happened"


class ConditionFailed(Exception):
    """A condition did not hold; `item` is the item that DynamoDB compared, empty if none."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        super().__init__("ConditionalCheckFailedException")
        self.item = item


class Cancelled(Exception):
    """DynamoDB did nothing of a transaction; `reasons` has a code for each of its items."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons

    @property
    def failed(self) -> Sequence[int]:
        """Return the indexes of the items whose condition did not hold."""
        return [index for index, code in enumerate(self.reasons) if code == FAILED_REASON]


class Throttled(StorageUnavailable):
    """DynamoDB did nothing, since there are more requests than the table permits."""

    def __init__(self) -> None:
        super().__init__(
            "DynamoDB throttles requests: there are more than the table permits at the moment",
            StorageFailure.BUSY,
        )


class Conflicted(StorageUnavailable):
    """DynamoDB did nothing, since another request was changing the same item."""

    def __init__(self) -> None:
        super().__init__(
            "Other requests are changing the same keys at the same time", StorageFailure.BUSY
        )


class Lost(StorageUnavailable):
    """There is no answer, or one that does not say whether DynamoDB did the request."""


class Invalid(StorageError):
    """DynamoDB refuses a request that does not fit the table, or exceeds a limit."""


class MissingTable(StorageError):
    """The table does not exist."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"There is no table {table}; run `workertown-kv migrate`", StorageFailure.REMOVED
        )


def of_answer(answer: Mapping[str, Any], table: str, *, writes: bool) -> Exception:
    """Return the error for an answer of DynamoDB that is none to a success."""
    code = answer.get("Error", {}).get("Code", "")
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = answer.get("Error", {}).get("Message") or code
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(answer.get("Item", {}))
    if code == "TransactionCanceledException":
        reasons = answer.get("CancellationReasons", ())
        return Cancelled([reason.get("Code") or "None" for reason in reasons])
    if code in _THROTTLED or status == 429:
        return Throttled()
    if code in _CONFLICTS:
        return Conflicted()
    if code == _IN_PROGRESS or status >= 500:
        unsure = f"; {_UNSURE}" if writes else ""
        return Lost(f"DynamoDB failed with {code or status}{unsure}", StorageFailure.OTHER)
    if code == "ResourceNotFoundException":
        return MissingTable(table)
    if code in _CREDENTIALS:
        return StorageError(
            f"AWS refuses the credentials ({code}); expected those of an identity that may use "
            f"the table {table}, and a clock that is right",
            StorageFailure.REFUSED,
        )
    if code == "AccessDeniedException":
        return StorageError(f"AWS does not permit this: {message}", StorageFailure.REFUSED)
    refused = Invalid if code == "ValidationException" else StorageError
    return refused(f"DynamoDB refuses a request ({code}): {message}")


def unreachable(url: str) -> StorageUnavailable:
    """Return the error for a request that was not sent."""
    return StorageUnavailable(f"DynamoDB cannot be reached at {url}")


def lost(*, writes: bool) -> Lost:
    """Return the error for a request without an answer."""
    unsure = f"; {_UNSURE}" if writes else ""
    return Lost(f"DynamoDB did not answer{unsure}")


def not_sent(reason: str) -> StorageError:
    """Return the error for a request that AWS's client does not send."""
    return StorageError(
        f"AWS's client cannot send requests: {reason}; expected credentials in AWS's variables or "
        "files, or from a role of this machine",
        StorageFailure.REFUSED,
    )
