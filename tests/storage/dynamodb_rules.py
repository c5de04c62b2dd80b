"""Check every request of the storage by AWS's rules, which the stand-ins do not all know."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from botocore.validate import ParamValidator  # type: ignore[import-untyped]

from workertown_kv.storage import Clock
from workertown_kv.storage.dynamodb import DynamoDBStorage, driver
from workertown_kv.storage.dynamodb.url import Settings

ITEM_BYTES: Final = 400 * 1024
EXPRESSIONS: Final = (
    "ConditionExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
WORDS: Final = {
    *("AND", "OR", "NOT", "IN", "BETWEEN", "SET", "REMOVE"),
    *("attribute_exists", "attribute_not_exists"),
}
"""All words of the language of expressions that the storage uses."""

Given = Mapping[str, Any]


class CheckingDriver:
    """Is the driver, whose client checks each request. `sent` has the requests."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Given]] = []
        self.before: Callable[[str, Given], None] = lambda action, given: None
        """Called before each request is sent; raises an error for one that does not arrive."""
        self.after: Callable[[str, Given], None] = lambda action, given: None
        """Called after each request; raises an error for an answer that is lost."""

    def failure_of(self, error: Exception, table: str, *, writes: bool) -> Exception:
        return driver.failure_of(error, table, writes=writes)

    @asynccontextmanager
    async def new_client(self, settings: Settings) -> AsyncIterator[Any]:
        async with driver.new_client(settings) as client:
            yield _Client(client, self)


class _Client:
    def __init__(self, client: Any, checking: CheckingDriver) -> None:
        self._client = client
        self._checking = checking

    def __getattr__(self, action: str) -> Any:
        async def send(**given: Any) -> Any:
            name = self._client.meta.method_to_api_mapping[action]
            model = self._client.meta.service_model.operation_model(name)
            report = ParamValidator().validate(given, model.input_shape)
            assert not report.has_errors(), report.generate_report()
            check(action, given)
            self._checking.sent.append((action, given))
            self._checking.before(action, given)
            answer = await getattr(self._client, action)(**given)
            self._checking.after(action, given)
            return answer

        return send


@asynccontextmanager
async def opened(
    url: str, clock: Clock | None = None
) -> AsyncIterator[tuple[DynamoDBStorage, CheckingDriver]]:
    """Open a storage whose requests are checked."""
    storage = DynamoDBStorage(url, clock=clock) if clock else DynamoDBStorage(url)
    checking = checked(storage)
    await storage.open()
    try:
        yield storage, checking
    finally:
        await storage.close()


def checked(storage: DynamoDBStorage) -> CheckingDriver:
    """Let each request of a storage that is not open be checked. Returns its driver."""
    checking = CheckingDriver()
    storage._connection._driver = checking
    return checking


def check(action: str, given: Given) -> None:
    """Check a request by the rules in AWS's documentation of limits and expressions."""
    match action:
        case "batch_get_item":
            (asked,) = given["RequestItems"].values()
            check_keys(asked["Keys"], 100)
            check_expressions(asked)
        case "batch_write_item":
            (requests,) = given["RequestItems"].values()
            changed = [one for request in requests for one in request.values()]
            check_keys([one.get("Item") or one["Key"] for one in changed], 25)
            for one in changed:
                check_item(one.get("Item", {}))
        case "transact_write_items" | "transact_get_items":
            parts = [part for item in given["TransactItems"] for part in item.values()]
            check_keys([part.get("Item") or part["Key"] for part in parts], 100)
            size = 0
            for part in parts:
                check_expressions(part)
                size += check_item(part.get("Item", {}))
            assert size <= 4_000_000
        case _:
            check_keys([one for one in (given.get("Item"), given.get("Key")) if one], 1)
            check_item(given.get("Item", {}))
            check_expressions(given)


def check_keys(items: list[Given], most: int) -> None:
    keys = [(item["pk"]["S"], item["sk"]["S"]) for item in items]
    assert len(keys) <= most
    assert len(set(keys)) == len(keys)
    for partition, sort in keys:
        assert 1 <= len(partition.encode()) <= 2048
        assert 1 <= len(sort.encode()) <= 1024


def check_item(item: Given) -> int:
    """Return the size of an item as AWS counts it, if it is not too large."""
    size = sum(len(name.encode()) + _size(value) for name, value in item.items())
    assert size <= ITEM_BYTES
    return size


def _size(value: Given) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content)
        case "N":
            digits = re.sub("[^0-9]", "", content.partition("e")[0]).strip("0")
            assert len(digits) <= 38
            return len(digits) // 2 + 2
        case "BOOL":
            return 1
    raise AssertionError(kind)


def check_expressions(given: Given) -> None:
    used: set[str] = set()
    for name in EXPRESSIONS:
        if name in given:
            expression = given[name]
            assert len(expression.encode()) <= 4096
            assert "((" not in expression, "DynamoDB refuses redundant parentheses"
            tokens = re.findall(r"[#:]?\w+", expression)
            marks = {token for token in tokens if token[0] in "#:"}
            assert {*tokens} - marks <= WORDS, "every name is a placeholder: some are reserved"
            assert all(operands.count(",") < 100 for operands in _lists(expression))
            used |= marks
    names, values = (given.get(f"ExpressionAttribute{kind}") for kind in ("Names", "Values"))
    assert names is None or names, "an empty mapping is refused"
    assert values is None or values, "an empty mapping is refused"
    assert used == {*(names or ()), *(values or ())}, "unused placeholders are refused"


def _lists(expression: str) -> Iterator[str]:
    return (found[1] for found in re.finditer(r"IN \(([^)]*)\)", expression))
