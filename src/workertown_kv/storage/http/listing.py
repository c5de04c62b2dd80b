"""Make the query of a listing."""

from ...operations import List
from ...wire.cursors import encode_cursor, kind_of_listing
from .connection import Query

MOST_KEYS = 1000


def list_query(operation: List) -> Query:
    """Return the parameters of a listing."""
    query: Query = {
        "limit": str(min(operation.limit, MOST_KEYS)),
        "precise": "true",
    }
    if operation.prefix:
        query["prefix"] = operation.prefix
    if operation.start_after is not None:
        query["start_after"] = operation.start_after
    if operation.is_reverse:
        query["reverse"] = "true"
    if operation.delimiter is not None:
        query["delimiter"] = operation.delimiter
    if operation.within != ("",):
        query["within"] = list(operation.within)
    kind = kind_of_listing(operation.is_reverse, operation.delimiter)
    cursor = encode_cursor(kind, operation.cursor)
    if cursor is not None:
        query["cursor"] = cursor
    return query
