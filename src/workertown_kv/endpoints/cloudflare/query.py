"""Queries, as Cloudflare reads them."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.types import Scope

from ...errors import InputError


def lenient_query(scope: Scope) -> Mapping[str, str]:
    """The parameters of the query. Those that nobody knows are ignored, and the last one counts."""
    try:
        text = scope.get("query_string", b"").decode()
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except ValueError as error:
        raise InputError("The query is not percent-encoded UTF-8") from error
