"""Define a namespace, and check its title."""

from typing import Annotated, Final

import msgspec

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE, is_unicode
from ..errors import InputError

TITLE_CHARACTERS: Final = 512
"""The most characters of a title; Workers KV has the same limit."""


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


DEFAULT: Final = Namespace(DEFAULT_ID, DEFAULT_NAMESPACE)


def check_title(title: str) -> None:
    """Raise `InputError` for a title that no namespace can have."""
    if not 0 < len(title) <= TITLE_CHARACTERS:
        raise InputError(
            f"The title has {len(title):,} characters; expected 1 to {TITLE_CHARACTERS}"
        )
    if not is_unicode(title):
        raise InputError("The title is not Unicode; expected UTF-8")
