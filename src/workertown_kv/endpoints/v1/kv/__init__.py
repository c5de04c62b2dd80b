"""`endpoints.v1.kv`: values, keys and batches."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Receive, Scope, Send

from ....entry import DEFAULT_NAMESPACE
from ....namespaces import Namespaces
from ....options import LimitsOptions
from ....storage import Storage
from ...envelope import StorageFailed
from ...namespace import FIELD, namespace_of
from ...request import bad_query, header, query, rest_of_path
from ...resource import Handler, Resource
from .collection import Collection
from .open_api import describe_kv
from .value import Values

__all__ = ["describe_kv", "kv_routes"]

_Act = Callable[[str, str, Scope, Receive, Send], Awaitable[None]]


def kv_routes(
    limits: LimitsOptions,
    storage: Storage,
    namespaces: Namespaces,
    prefix: str,
    failed: StorageFailed,
) -> list[Resource]:
    """The routes of the group: `{prefix}/{key}`, and `{prefix}` for the rest."""
    values = Values(storage, limits)
    collection = Collection(storage, limits, failed)
    below = prefix.rstrip("/") + "/"

    def space_of(scope: Scope, asked: Mapping[str, str]) -> Awaitable[str]:
        fresh = scope["method"] not in ("GET", "HEAD")
        return namespace_of(scope, namespaces, asked.get("namespace"), fresh=fresh)

    def by_path(act: _Act) -> Handler:
        async def handle_anywhere(scope: Scope, receive: Receive, send: Send) -> None:
            space = await space_of(scope, query(scope, ("namespace",)))
            await act(space, rest_of_path(scope, below), scope, receive, send)

        def handle(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            # Nearly all requests are such, and need not wait to know it.
            if not scope["query_string"] and header(scope, FIELD) is None:
                key = rest_of_path(scope, below)
                return act(DEFAULT_NAMESPACE, key, scope, receive, send)
            return handle_anywhere(scope, receive, send)

        return handle

    def by_query(act: _Act) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            asked = query(scope, ("key", "namespace"))
            if "key" not in asked:
                raise bad_query("key", f"Expected the key here, or in the path: {below}…")
            await act(await space_of(scope, asked), asked["key"], scope, receive, send)

        return handle

    async def get_or_list(scope: Scope, receive: Receive, send: Send) -> None:
        asked = query(scope, ("key", "prefix", "limit", "cursor", "namespace"))
        if "key" not in asked:
            await collection.list(await space_of(scope, asked), asked, scope, receive, send)
        elif not asked.keys() <= {"key", "namespace"}:
            raise bad_query("key", "Expected either a key or what to list, not both")
        else:
            space = await space_of(scope, asked)
            await values.get(space, asked["key"], scope, receive, send)

    async def batch(scope: Scope, receive: Receive, send: Send) -> None:
        space = await space_of(scope, query(scope, ("namespace",)))
        await collection.batch(space, scope, receive, send)

    # The collection first: with a prefix of "/" its path would be that of an empty key.
    return [
        Resource(
            prefix,
            {
                "GET": get_or_list,
                "HEAD": get_or_list,
                "PUT": by_query(values.put),
                "DELETE": by_query(values.delete),
                "POST": batch,
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
            rest="key",
        ),
    ]
