"""Makes the keys and the values that every server has."""

import json
from dataclasses import dataclass
from typing import Final

MIB_25: Final = 25 * 1024 * 1024
"""The largest value that the server takes by default."""


@dataclass(frozen=True)
class Data:
    """Says how many keys a server has, and how many bytes the value of each."""

    keys: int = 10_000
    size: int = 100

    @property
    def value(self) -> str:
        """Return the value of all keys: a JSON object of `size` bytes."""
        value = {"number": 4711, "name": "Ada Lovelace", "tags": ["engine", "notes"], "text": ""}
        value["text"] = "x" * (self.size - len(_text(value)))
        return _text(value)

    def key(self, number: int) -> str:
        """Return the name of a key."""
        return f"key{number:08}"


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
