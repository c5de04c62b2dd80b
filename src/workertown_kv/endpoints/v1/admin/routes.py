"""Define the routes of `endpoints.v1.admin`."""

from collections.abc import Mapping

from ....credentials import ApiKeys
from ....http.answer import Answer
from ....http.exchange import Exchange
from ....http.route import Handler, Route
from ....namespaces import Namespaces
from ....options import Options, describe_options
from ....package_version import __version__
from ....storage import Health, Storage
from ..envelope import NATIVE_API, object_answer
from .api_keys import ApiKeyHandlers
from .export import ExportHandler
from .import_ import ImportHandler
from .namespaces import NamespaceHandlers


class Admin:
    """Handles requests about the server and its storage."""

    def __init__(self, options: Options, storage: Storage, health: Health) -> None:
        self._options = options
        self._storage = storage
        self._health = health

    async def info(self, _: Exchange) -> Answer:
        """Answer with the options in force, and the kind and the health of the storage."""
        known = describe_options(self._options)
        known |= {
            "storage": type(self._storage).__name__,
            "storage_health": await self._health.report(),
            "version": __version__,
        }
        return object_answer(known)

    async def migrate(self, _: Exchange) -> Answer:
        """Bring the schema of the storage up to date."""
        return object_answer(await self._storage.migrate())


def admin_routes(
    options: Options,
    storage: Storage,
    cached: Storage,
    namespaces: Namespaces,
    api_keys: ApiKeys | None,
    prefix: str,
    health: Health,
) -> list[Route]:
    """Return the routes of the group, all for users who may administer.

    Imports write through `cached`, which drops the entries that they replace.
    """
    base = prefix.rstrip("/")
    admin = Admin(options, storage, health)
    handlers = NamespaceHandlers(options.limits, namespaces, f"{base}/namespaces/")
    exports = ExportHandler(storage, namespaces)
    imports = ImportHandler(options.limits, cached, namespaces)
    single = {
        "GET": handlers.get,
        "HEAD": handlers.get,
        "PUT": handlers.rename,
        "DELETE": handlers.delete,
    }
    return [
        _route(f"{base}/info", {"GET": admin.info, "HEAD": admin.info}),
        _route(f"{base}/migrate", {"POST": admin.migrate}),
        _route(
            f"{base}/namespaces",
            {"GET": handlers.list, "HEAD": handlers.list, "POST": handlers.create},
        ),
        _route(f"{base}/namespaces/", single, rest="namespace"),
        _route(f"{base}/export", {"GET": exports.export, "HEAD": exports.export}),
        _route(f"{base}/import", {"POST": imports.import_}),
        *([] if api_keys is None else _key_routes(options, api_keys, f"{base}/api-keys")),
    ]


def _key_routes(options: Options, api_keys: ApiKeys, path: str) -> list[Route]:
    handlers = ApiKeyHandlers(options.limits, api_keys, f"{path}/")
    all = {"GET": handlers.list, "HEAD": handlers.list, "POST": handlers.create}
    single = {"GET": handlers.get, "HEAD": handlers.get, "DELETE": handlers.revoke}
    return [_route(path, all), _route(f"{path}/", single, rest="name")]


def _route(path: str, handlers: Mapping[str, Handler], rest: str | None = None) -> Route:
    return Route(NATIVE_API, path, handlers, rest=rest, is_for_admins=True)
