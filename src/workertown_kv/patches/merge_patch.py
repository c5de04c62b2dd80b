"""Apply a merge patch (RFC 7396)."""

from typing import Final

from .tree import Tree, parsed, written

_NOTHING: Final[dict[str, Tree]] = {}


def merged(text: bytes, patch: bytes) -> bytes:
    """Return the JSON text of a value after a merge patch. Both must be valid JSON."""
    return written(_merge(parsed(text), parsed(patch)))


def _merge(target: Tree, patch: Tree) -> Tree:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name, _NOTHING), value)
    return result
