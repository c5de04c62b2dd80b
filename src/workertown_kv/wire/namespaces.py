"""Define a namespace as the admin endpoints send it, and decode namespaces."""

from typing import Annotated, Final

import msgspec

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE


class Namespace(msgspec.Struct, frozen=True, omit_defaults=True):
    """A namespace: its id never changes and is never used again, its title may change."""

    id: Annotated[
        str,
        msgspec.Meta(
            description="The id, which stays", extra_json_schema={"pattern": "^[0-9a-f]{32}$"}
        ),
    ]
    title: Annotated[str, msgspec.Meta(description="The title, which may change")]
    account: Annotated[
        str,
        msgspec.Meta(
            description="The account of Cloudflare's REST API that it belongs to, where there are "
            "several"
        ),
    ] = ""

    @property
    def name(self) -> str:
        """Return the name by which operations refer to the namespace."""
        return DEFAULT_NAMESPACE if self.id == DEFAULT_ID else self.id


_ONE: Final = msgspec.json.Decoder(Namespace)
_ALL: Final = msgspec.json.Decoder(list[Namespace])


def decode_namespace(data: bytes) -> Namespace:
    """Return the namespace in an answer. Raises `ValueError` for data of another form."""
    return _ONE.decode(data)


def decode_namespaces(data: bytes) -> list[Namespace]:
    """Return the namespaces in an answer. Raises `ValueError` for data of another form."""
    return _ALL.decode(data)
