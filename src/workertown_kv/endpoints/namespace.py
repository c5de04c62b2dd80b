"""Find the namespace of a request: by its header field or its query, or the default namespace."""

from ..entry import DEFAULT_NAMESPACE
from ..errors import Detail, InputError
from ..http.exchange import Exchange
from ..http.fields import NAMESPACE_FIELD
from ..http.query import bad_query
from ..namespaces import Namespaces


async def namespace_of(
    exchange: Exchange, namespaces: Namespaces, parameter: str | None = None, *, fresh: bool = True
) -> str:
    """Return the name by which operations refer to the namespace of a request.

    `parameter` is the id or title in the query. Raises `NamespaceNotFound`, except that a read may
    find a namespace for a moment after another process has deleted it.
    """
    sent = exchange.fields.get(NAMESPACE_FIELD)
    if sent is None and parameter is None:
        return DEFAULT_NAMESPACE
    if sent is not None:
        parameter = _name(sent, parameter)
    if not parameter:
        raise bad_query("namespace", "Expected the id or title of a namespace")
    return (await namespaces.named(parameter, fresh=fresh)).name


def _name(sent: bytes, parameter: str | None) -> str:
    try:
        name = sent.decode()
    except UnicodeDecodeError as error:
        raise _invalid("Expected UTF-8") from error
    if not name:
        raise _invalid("Expected the id or title of a namespace")
    if parameter not in (None, name):
        raise _invalid("Expected the same namespace here as in the query")
    return name


def _invalid(message: str) -> InputError:
    return InputError(
        "Invalid header", details=[Detail("header", (NAMESPACE_FIELD.decode(),), message)]
    )
