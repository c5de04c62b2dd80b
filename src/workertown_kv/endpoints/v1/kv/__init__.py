"""`endpoints.v1.kv`: values, keys and batches."""

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from ....options import LimitsOptions
from ....storage import Storage
from ...request import bad_query, query, rest_of_path
from ...resource import Handler, Resource
from .collection import Collection
from .open_api import describe_kv
from .value import Values

__all__ = ["describe_kv", "kv_routes"]

_Act = Callable[[str, Scope, Receive, Send], Awaitable[None]]


def kv_routes(limits: LimitsOptions, storage: Storage, prefix: str) -> list[Resource]:
    """The routes of the group: `{prefix}/{key}`, and `{prefix}` for the rest."""
    values = Values(storage, limits)
    collection = Collection(storage, limits)
    below = prefix.rstrip("/") + "/"

    def by_path(act: _Act) -> Handler:
        def handle(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["query_string"]:
                query(scope, ())
            return act(rest_of_path(scope, below), scope, receive, send)

        return handle

    def by_query(act: _Act) -> Handler:
        def handle(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            asked = query(scope, ("key",))
            if "key" not in asked:
                raise bad_query("key", f"Expected the key here, or in the path: {below}…")
            return act(asked["key"], scope, receive, send)

        return handle

    def get_or_list(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        asked = query(scope, ("key", "prefix", "limit", "cursor"))
        if "key" not in asked:
            return collection.list(asked, scope, receive, send)
        if len(asked) > 1:
            raise bad_query("key", "Expected either a key or what to list, not both")
        return values.get(asked["key"], scope, receive, send)

    # The collection first: with a prefix of "/" its path would be that of an empty key.
    return [
        Resource(
            prefix,
            {
                "GET": get_or_list,
                "HEAD": get_or_list,
                "PUT": by_query(values.put),
                "DELETE": by_query(values.delete),
                "POST": collection.batch,
            },
        ),
        Resource(
            below,
            {
                "GET": by_path(values.get),
                "HEAD": by_path(values.get),
                "PUT": by_path(values.put),
                "DELETE": by_path(values.delete),
            },
            with_all_below=True,
        ),
    ]
