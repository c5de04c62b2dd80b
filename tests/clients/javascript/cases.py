"""Name the cases of the JavaScript client, and the files that they need."""

import re
from pathlib import Path
from typing import Final

CASES: Final = Path(__file__).parent
CLIENT: Final = CASES.parents[2] / "clients" / "js"
VECTORS: Final = CASES.parents[1] / "vectors" / "keys.json"
NEEDED: Final = (CASES / "cases.mjs", CLIENT / "workertown-kv.js", VECTORS)
"""The files that the cases need outside Node."""

SECONDS: Final = 120
"""How long a busy machine may take for what takes a second or two."""


def names_in(module: str) -> list[str]:
    """Return the names of the cases of a module."""
    found = re.findall(r'^  async "(.+)"\(', (CASES / module).read_text(), re.MULTILINE)
    assert len(found) > 5
    return found
