"""Queries, as Cloudflare reads them."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from ...errors import InputError
from ...http.exchange import Exchange

MOST_PARAMETERS: Final = 100


def lenient_query(exchange: Exchange) -> Mapping[str, str]:
    """Return the parameters of the query; of those with one name, the last.

    Unknown parameters are ignored.
    """
    try:
        text = exchange.query.decode()
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError as error:
        raise InputError(
            f"The query is not percent-encoded UTF-8, or has more than {MOST_PARAMETERS} parameters"
        ) from error
    return dict(pairs)
