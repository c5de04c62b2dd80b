"""Write the expressions of a request: what must be true of an item, and what changes in it.

All names of attributes are placeholders, since some of them are reserved words of DynamoDB.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET

from ...errors import StorageUnsupported
from ...operations import Precondition
from .layout import Attribute, number, text

MOST_VERSIONS: Final = 400
"""The most versions that fit into an expression, which may have 4,096 bytes."""
_OPERANDS: Final = 100
"""The most operands of `IN`."""
_NO_VERSION: Final = "-"
"""Not the version of any entry, for a precondition without versions: `IN` needs an operand."""


class Expressions:
    """Collects the placeholders of the expressions of a request."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Attribute] = {}

    def name(self, attribute: str) -> str:
        """Return the placeholder of an attribute."""
        placeholder = f"#{attribute}"
        self._names[placeholder] = attribute
        return placeholder

    def value(self, value: Attribute) -> str:
        """Return a placeholder for a value."""
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = value
        return placeholder

    def projection(self, attributes: Sequence[str]) -> dict[str, Any]:
        """Return the parameters that ask for these attributes only."""
        expression = ", ".join(map(self.name, attributes))
        return {"ProjectionExpression": expression, **self.placeholders}

    def condition(self, precondition: Precondition | None, now: float) -> dict[str, Any]:
        """Return the parameters that make a request depend on a precondition."""
        if precondition is None:
            return {}
        expression = self.holds(precondition, now)
        return {"ConditionExpression": expression, **self.placeholders}

    @property
    def placeholders(self) -> dict[str, Any]:
        """The parameters for the placeholders that were made. DynamoDB refuses empty ones."""
        values = {"ExpressionAttributeValues": self._values} if self._values else {}
        return {"ExpressionAttributeNames": self._names, **values}

    def alive(self, now: float) -> str:
        """Return the condition that an entry exists and has not expired.

        DynamoDB refuses parentheses that change nothing.
        """
        expiry = self.name("expires_at")
        return (
            f"attribute_exists({self.name('version')}) AND "
            f"(attribute_not_exists({expiry}) OR {expiry} > {self.value(number(now))})"
        )

    def holds(self, precondition: Precondition, now: float) -> str:
        """Return the condition that a precondition holds. Raises `StorageUnsupported`."""
        parts = [self.alive(now)]
        if precondition.versions is not None:
            parts.append(self._is_one_of([*dict.fromkeys(precondition.versions)] or [_NO_VERSION]))
        if precondition.expires_at is None:
            parts.append(f"attribute_not_exists({self.name('expires_at')})")
        elif precondition.expires_at is not UNSET:
            expiry = self.value(number(precondition.expires_at))
            parts.append(f"{self.name('expires_at')} = {expiry}")
        whole = " AND ".join(parts)
        return f"NOT ({whole})" if precondition.negated else whole

    def _is_one_of(self, versions: Sequence[str]) -> str:
        if len(versions) > MOST_VERSIONS:
            raise StorageUnsupported(
                f"DynamoDB compares at most {MOST_VERSIONS} versions in a precondition; this one "
                f"has {len(versions):,}"
            )
        version = self.name("version")
        marks = [self.value(text(one)) for one in versions]
        groups = [marks[at : at + _OPERANDS] for at in range(0, len(marks), _OPERANDS)]
        tests = [f"{version} IN ({', '.join(some)})" for some in groups]
        return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"
