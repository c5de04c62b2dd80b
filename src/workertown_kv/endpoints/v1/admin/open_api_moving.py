"""Describe exports and imports in the OpenAPI document."""

import hashlib
from typing import Final

from ....storage import Capability, Storage
from ....transfer.lines import encode_end
from ....transfer.writing import OnConflict
from ...open_api import NATIVE, described, operation, parameter, success
from ...schemas import Json, ref
from .export import NDJSON

MOVING: Final = "Exports and imports"

_BEFORE_END: Final = (
    b'{"workertown_kv_export": 1, "at": 1795905459}\n'
    b'{"namespace": "00000000000000000000000000000000", "title": "default"}\n'
    b'{"key": "theme", "value": "dark"}\n'
)
_END: Final = encode_end(1, hashlib.sha256(_BEFORE_END).hexdigest())
_LINES: Final = (_BEFORE_END + _END).decode()
_TEXT: Final = {"type": "string", "format": "binary"}


def describe_moving(storage: Storage, base: str) -> dict[str, Json]:
    """Describe the paths."""
    unsupported = [501] if Capability.LISTING in storage.lacks else []
    return {
        f"{base}/export": {
            "get": operation(
                "export_entries",
                MOVING,
                "Export all entries",
                "Lines of JSON, in the order of the keys; compressed if the request accepts gzip "
                "or zstd. Without the last line, which has the number of entries and a hash, the "
                "export is not whole. Needs the verbs admin, and read and list on all keys.",
                {
                    "200": {
                        "description": "The lines of the export",
                        "content": {NDJSON: described(_TEXT, lines=_LINES)},
                    }
                },
                form=NATIVE,
                failures=[404, 406, *unsupported],
                parameters=[_namespace("Only the entries of this namespace")],
            )
        },
        f"{base}/import": {
            "post": operation(
                "import_entries",
                MOVING,
                "Import an export",
                "Writes each entry into the namespace that it comes from, which is created if it "
                "is missing. An error may come after some entries were written; it names the last "
                "key. Repeating the import is harmless. Needs the verbs admin, and write on all "
                "keys.",
                {
                    "200": success(
                        "ImportAnswer",
                        "What was done with the entries",
                        ref("Imported"),
                        {"written": 1, "skipped": 0, "expired": 0},
                    )
                },
                form=NATIVE,
                failures=[404, 408, 409, 413, 414],
                parameters=[
                    _namespace("The namespace for all entries, which must come from a single one"),
                    parameter(
                        "query",
                        "on_conflict",
                        "What to do with an entry whose key exists",
                        {"type": "string", "enum": [one.value for one in OnConflict]},
                        example="skip",
                    ),
                    parameter(
                        "query",
                        "dry_run",
                        "Whether to write nothing, and only count",
                        {"type": "boolean", "default": False},
                        example=True,
                    ),
                ],
                body={NDJSON: described(_TEXT, lines=_LINES)},
            )
        },
    }


def _namespace(description: str) -> Json:
    return parameter(
        "query",
        "namespace",
        f"{description}, by its id or title",
        {"type": "string", "minLength": 1},
        example="default",
    )
