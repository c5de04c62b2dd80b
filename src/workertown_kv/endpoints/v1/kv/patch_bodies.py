"""Decode the bodies of a `PATCH` to operations."""

import re
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ....entry import compact_metadata
from ....errors import UnsupportedPatch
from ....http.body import media_type_of
from ....http.exchange import Exchange
from ....operations import Touch, Update
from ....options import LimitsOptions
from ....patches.increment import Amount, Increment
from ....patches.number import SPACE, exact
from ....patches.tree import Tree, parsed
from ....updates import Target, describe, increment, json_patch, merge
from ...schemas import Ttl, ref
from .decoding import Body, check_depth, check_syntax, decode, explained, invalid
from .expiry import expiry_of

PATCH_TYPES: Final = (
    b"application/json",
    b"application/merge-patch+json",
    b"application/json-patch+json",
)
MOST_OPERATIONS: Final = 1000
"""The most operations of a JSON Patch."""

_NUMBER: Final = {"type": "number"}
_Path = tuple[str | int, ...]


class IncrementFields(Body, frozen=True, gc=False):
    """The bounds of an increment, and what a key without a value gets."""

    initial: (
        Annotated[
            Raw,
            Meta(
                description="What to add it to where there is no value; 0 by default",
                extra_json_schema=_NUMBER,
            ),
        ]
        | UnsetType
    ) = UNSET
    min: (
        Annotated[
            Raw, Meta(description="The least new number; else 409", extra_json_schema=_NUMBER)
        ]
        | UnsetType
    ) = UNSET
    max: (
        Annotated[Raw, Meta(description="The most; else 409", extra_json_schema=_NUMBER)]
        | UnsetType
    ) = UNSET
    ttl: Ttl | UnsetType = UNSET
    expires_at: (
        Annotated[
            int | float, Meta(description="When a value that this creates expires, in Unix seconds")
        ]
        | UnsetType
    ) = UNSET


class IncrementBody(IncrementFields, frozen=True, gc=False, kw_only=True):
    """Add to a number. A key without a value gets one, which may expire."""

    example: ClassVar = '{"increment": 1}'

    increment: Annotated[Raw, Meta(description="What to add", extra_json_schema=_NUMBER)]


class DescribeBody(Body, frozen=True, gc=False):
    """Change the lifetime, the metadata, or both, and keep the value."""

    example: ClassVar = '{"ttl": 3600}'
    accepted: ClassVar = "increment, or some of ttl, expires_at and metadata"

    ttl: Ttl | UnsetType = UNSET
    expires_at: (
        Annotated[
            int | float | None,
            Meta(description="When the value expires, in Unix seconds; null: never"),
        ]
        | UnsetType
    ) = UNSET
    metadata: (
        Annotated[Raw, Meta(extra_json_schema={"anyOf": [ref("Metadata"), {"type": "null"}]})]
        | UnsetType
    ) = UNSET


_Pointer = Annotated[
    str, Meta(description="A JSON Pointer", extra_json_schema={"pattern": "^(/.*)?$"})
]


class _Step(msgspec.Struct, frozen=True, gc=False, tag_field="op"):
    path: _Pointer


class AddStep(_Step, frozen=True, gc=False, tag="add"):
    """Add a value, or insert it into an array."""

    value: Raw


class ReplaceStep(_Step, frozen=True, gc=False, tag="replace"):
    """Replace a value."""

    value: Raw


class TestStep(_Step, frozen=True, gc=False, tag="test"):
    """Require that there is this value."""

    value: Raw


class RemoveStep(_Step, frozen=True, gc=False, tag="remove"):
    """Remove a value."""


class MoveStep(_Step, frozen=True, gc=False, tag="move", rename={"from_": "from"}):
    """Move a value."""

    from_: _Pointer


class CopyStep(_Step, frozen=True, gc=False, tag="copy", rename={"from_": "from"}):
    """Copy a value."""

    from_: _Pointer


JsonPatchStep = AddStep | RemoveStep | ReplaceStep | MoveStep | CopyStep | TestStep

_INCREMENT: Final = msgspec.json.Decoder(IncrementBody)
_DESCRIBE: Final = msgspec.json.Decoder(DescribeBody)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_STEPS: Final = msgspec.json.Decoder(list[JsonPatchStep])
_POINTER: Final = re.compile(r"(?:/(?:[^~]|~[01])*)?", re.DOTALL)
_PATCH_EXAMPLE: Final = 'expected an array such as [{"op": "add", "path": "/a", "value": 1}]'
_STEP_EXPECTED: Final = {
    "op": '"add", "remove", "replace", "move", "copy" or "test"',
    "path": 'a JSON Pointer such as "/a/0"',
    "from": 'a JSON Pointer such as "/a/0"',
}


def patch_type_of(exchange: Exchange) -> bytes:
    """Return the media type of a patch. Raises `UnsupportedPatch` for any other."""
    media_type = media_type_of(exchange)
    if media_type not in PATCH_TYPES:
        got = f"got {media_type[:100].decode('latin-1')}" if media_type else "there is none"
        accepted = [one.decode() for one in PATCH_TYPES]
        raise UnsupportedPatch(f"Expected Content-Type: {' or '.join(accepted)}; {got}", accepted)
    return media_type


async def decode_patch(
    media_type: bytes,
    body: bytes | bytearray,
    target: Target,
    limits: LimitsOptions,
    now: float,
    *,
    is_precise: bool,
) -> Update | Touch:
    """Return the operation in the body of a `PATCH`."""
    if media_type == b"application/merge-patch+json":
        await check_depth(body, limits.json_depth, 0)
        check_syntax(body, 'expected JSON such as {"a": 1, "b": null}')
        return merge(target, bytes(body), limits)
    if media_type == b"application/json-patch+json":
        await check_depth(body, limits.json_depth, _STEP_DEPTH)
        check_syntax(body, _PATCH_EXAMPLE)
        return json_patch(target, steps_in(bytes(body), ()), len(body), limits)
    await check_depth(body, limits.json_depth, 1)
    if _counts(body):
        counting = decode(_INCREMENT, body)
        return increment_of(
            counting, counting.increment, "increment", target, now, is_precise=is_precise
        )
    return description_of(decode(_DESCRIBE, body), target, now, is_precise=is_precise)


_STEP_DEPTH: Final = 2
"""How deep a value is nested in a JSON Patch."""


def steps_in(text: bytes, path: _Path) -> list[dict[str, Tree]]:
    """Return the operations of a JSON Patch. `path` is where valid JSON text is in the body."""
    text = text.lstrip(SPACE)
    if not text.startswith(b"["):
        raise invalid(path, f"E{_PATCH_EXAMPLE[1:]}")
    try:
        steps = _STEPS.decode(text)
    except msgspec.ValidationError as error:
        root = "$" + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path)
        fields = "op, path, and what the op needs"
        raise explained(str(error), root, fields, _STEP_EXPECTED) from error
    if len(steps) > MOST_OPERATIONS:
        raise invalid(path, f"Expected at most {MOST_OPERATIONS:,} operations")
    for index, step in enumerate(steps):
        for name, pointer in (("path", step.path), ("from", getattr(step, "from_", ""))):
            if not _POINTER.fullmatch(pointer):
                raise invalid((*path, index, name), f"Expected {_STEP_EXPECTED[name]}")
    tree: list[dict[str, Any]] = parsed(text)
    return tree


def increment_of(
    body: IncrementFields,
    by: Raw,
    name: str,
    target: Target,
    now: float,
    path: _Path = (),
    *,
    is_precise: bool,
) -> Update:
    """Return the update that adds `by`, which has this name in the body."""
    counting = Increment(
        by=_amount(by, (*path, name)) or 0,
        initial=_amount(body.initial, (*path, "initial")) or 0,
        least=_amount(body.min, (*path, "min")),
        most=_amount(body.max, (*path, "max")),
    )
    if counting.has_no_room:
        raise invalid((*path, "max"), "Expected at least as much as min")
    expires_at = expiry_of(body.ttl, body.expires_at, now, path, is_precise=is_precise)
    return increment(target, counting, expires_at)


def description_of(
    body: DescribeBody, target: Target, now: float, path: _Path = (), *, is_precise: bool
) -> Update | Touch:
    """Return the change of a lifetime, of metadata, or of both."""
    ttl, given, metadata = body.ttl, body.expires_at, body.metadata
    if ttl is UNSET and given is UNSET and metadata is UNSET:
        other = "" if path else "increment, or "
        raise invalid(path, f"Expected {other}some of ttl, expires_at and metadata")
    if ttl is not UNSET and given is None:
        raise invalid((*path, "expires_at"), "Expected ttl or expires_at, not both")
    expires_at = expiry_of(ttl, given, now, path, is_precise=is_precise)
    if metadata is UNSET:
        return Touch(
            namespace=target.namespace,
            key=target.key,
            expires_at=expires_at,
            precondition=target.precondition,
        )
    text = bytes(metadata)
    compact = None if text == b"null" else compact_metadata(text, path)
    keeps = ttl is UNSET and given is UNSET
    return describe(target, compact, UNSET if keeps else expires_at)


def _counts(body: bytes | bytearray) -> bool:
    try:
        return "increment" in _FIELDS.decode(body)
    except msgspec.ValidationError:
        return False  # the next decoder explains what is wrong
    except (msgspec.DecodeError, RecursionError):
        return True  # so does that of an increment


def _amount(text: Raw | UnsetType, path: _Path) -> Amount | None:
    if text is UNSET:
        return None
    amount = exact(bytes(text))
    if amount is None:
        raise invalid(path, "Expected a number")
    return amount
