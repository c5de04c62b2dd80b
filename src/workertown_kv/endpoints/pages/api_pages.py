"""The API pages: they show the OpenAPI document of the server, and send requests."""

from typing import Final

from ...http.route import Route
from .serving import page_files, page_routes

FILES: Final = page_files(
    "docs",
    (
        "app.js",
        "docs.css",
        "document.js",
        "operation.js",
        "request.js",
        "response.js",
        "schema.js",
        "snippets.js",
        "trying.js",
    ),
)


def api_page_routes(
    prefix: str, document: str, *, whoami: str | None, console: str | None
) -> list[Route]:
    """Return the routes of the API pages, which show the document at the path `document`.

    `whoami` and `console` are other paths of the server, if it has them.
    """
    paths = {"document": document, "root": "/", "whoami": whoami, "console": console}
    # Applications often have a page of their own at /docs.
    return page_routes(FILES, prefix, paths, gives_way=True)
