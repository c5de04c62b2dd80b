"""Which namespace a request is about: by its header field or its query, else the default one."""

from typing import Final

from ..entry import DEFAULT_NAMESPACE
from ..errors import Detail, InputError
from ..http.exchange import Exchange
from ..http.query import bad_query
from ..namespaces import Namespaces

FIELD: Final = b"x-kv-namespace"


async def namespace_of(
    exchange: Exchange, namespaces: Namespaces, asked: str | None = None, *, fresh: bool = True
) -> str:
    """Return what operations call the namespace that is named by its id or title.

    `asked` is what the query says. Raises `NamespaceNotFound` where there is none; a read may
    believe for a moment that what was there is there still.
    """
    sent = exchange.fields.get(FIELD)
    if sent is None and asked is None:
        return DEFAULT_NAMESPACE
    if sent is not None:
        asked = _name(sent, asked)
    if not asked:
        raise bad_query("namespace", "Expected the id or title of a namespace")
    return (await namespaces.named(asked, fresh=fresh)).name


def _name(sent: bytes, asked: str | None) -> str:
    try:
        name = sent.decode()
    except UnicodeDecodeError as error:
        raise _invalid("Expected UTF-8") from error
    if not name:
        raise _invalid("Expected the id or title of a namespace")
    if asked not in (None, name):
        raise _invalid("Expected the same namespace here as in the query")
    return name


def _invalid(message: str) -> InputError:
    return InputError("Invalid header", details=[Detail("header", (FIELD.decode(),), message)])
