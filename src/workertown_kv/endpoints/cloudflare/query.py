"""Queries, as Cloudflare reads them."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Scope

from ...errors import InputError

MOST_PARAMETERS: Final = 100


def lenient_query(scope: Scope) -> Mapping[str, str]:
    """The parameters of the query. Those that nobody knows are ignored, and the last one counts."""
    try:
        text = scope.get("query_string", b"").decode()
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError as error:
        raise InputError(
            f"The query is not percent-encoded UTF-8, or has more than {MOST_PARAMETERS} parameters"
        ) from error
    return dict(pairs)
