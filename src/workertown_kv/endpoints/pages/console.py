"""The console: a page that shows and changes the entries of a store."""

from typing import Final, Literal

from ...http.route import Route
from ...options import Options
from .serving import page_files, page_routes

FILES: Final = page_files(
    "console",
    (
        "api-keys.js",
        "app.js",
        "browse.js",
        "conflict.js",
        "deleting.js",
        "edit.js",
        "export-count.js",
        "feed.js",
        "fields.js",
        "metrics.js",
        "namespaces.js",
        "overview.js",
        "place.js",
        "plot.js",
        "rows.js",
        "selection.js",
        "snippets.js",
        "store.js",
        "transfer.js",
        "value-view.js",
        "values.js",
        "workertown-kv.js",
    ),
)


def console_routes(
    options: Options, prefix: str, *, docs: str | None, metrics: str | None
) -> list[Route]:
    """Return the routes of the console.

    `docs` and `metrics` are the paths of the API pages and of the metrics, if the server has them.
    """
    v1 = options.endpoints.v1

    def whole(path: str | Literal[False]) -> str | None:
        return None if path is False else options.path(path)

    paths = {
        "kv": whole(v1.kv),
        "changes": whole(v1.changes),
        "whoami": whole(v1.whoami),
        "admin": whole(v1.admin),
        "docs": docs,
        "metrics": metrics,
    }
    return page_routes(FILES, prefix, paths)
