"""Parse the parameters in the query of a request."""

from typing import Final
from urllib.parse import unquote_to_bytes

from ..errors import Detail, InputError
from .exchange import Exchange

_MARK: Final = "a question mark in a key is sent as %3F"


def query(exchange: Exchange, accepted: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters of the query.

    Raises `InputError` for a parameter that is unknown or repeated.
    """
    parameters: dict[str, str] = {}
    for pair in exchange.query.split(b"&") if exchange.query else ():
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition(b"=")
        name = _query_text(raw_name)
        if name not in accepted:
            raise bad_query(
                name[:100], f"Unknown parameter. Expected {' or '.join(accepted)}; {_MARK}"
            )
        if name in parameters:
            raise bad_query(name, "Expected this parameter once")
        parameters[name] = _query_text(raw_value, name)
    return parameters


def _query_text(text: bytes, name: str | None = None) -> str:
    decoded = unquote_to_bytes(text.replace(b"+", b" "))
    try:
        return decoded.decode()
    except UnicodeDecodeError as error:
        name = name or repr(text[:100])[2:-1]
        raise bad_query(name, "Expected percent-encoded UTF-8") from error


def bad_query(name: str, message: str) -> InputError:
    """Return the error for a query parameter that cannot be used."""
    return InputError("Invalid query", details=[Detail("query", (name,), message)])
