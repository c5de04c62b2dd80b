"""Parse the parameters in the query of a request."""

from collections.abc import Iterator, Mapping
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
    for name, value in _pairs(exchange, accepted):
        if name in parameters:
            raise bad_query(name, "Expected this parameter once")
        parameters[name] = value
    return parameters


def query_with_list(
    exchange: Exchange, accepted: tuple[str, ...], repeatable: str
) -> tuple[dict[str, str], list[str]]:
    """Return the parameters of the query, and the values of a parameter that may be repeated.

    Raises `InputError` for a parameter that is unknown, and for another that is repeated.
    """
    parameters: dict[str, str] = {}
    values: list[str] = []
    for name, value in _pairs(exchange, (*accepted, repeatable)):
        if name == repeatable:
            values.append(value)
        elif name in parameters:
            raise bad_query(name, "Expected this parameter once")
        else:
            parameters[name] = value
    return parameters, values


def _pairs(exchange: Exchange, accepted: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for pair in exchange.query.split(b"&") if exchange.query else ():
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition(b"=")
        name = _query_text(raw_name)
        if name not in accepted:
            expected = " or ".join(accepted) or "no parameters"
            raise bad_query(name[:100], f"Unknown parameter. Expected {expected}; {_MARK}")
        yield name, _query_text(raw_value, name)


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


def is_true(parameters: Mapping[str, str], name: str) -> bool:
    """Return whether a parameter is `true`; without it, it is not."""
    text = parameters.get(name, "false")
    if text not in ("true", "false"):
        raise bad_query(name, "Expected true or false")
    return text == "true"
