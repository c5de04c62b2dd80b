"""Compare `env.KV` with this server behind it to Cloudflare's own emulator.

Both run the same Worker, in the same workerd. It sees the same results, status for status, except
for `DIFFERENCES`, which the docs list.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servers.workerd import RunningEmulator, RunningWorkerd, Worker, made
from workertown_kv.testing import ServedStore

Call = tuple[Any, ...]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "env-kv-in-workerd.md"
LATER = 2**31 - 1
TEXT = '{"a": [1, 2.50, "é😀", 1e999, 123456789012345678901234567890], "a": -0.0} '
EVERY_BYTE = bytes(range(256))
METADATA = [{"a": "é☃😀\n\u0001", "n": 1.5}, [1], "text", " ", "", 0, 1e21, False, None, {}]
KEYS = [
    "a/b",
    "/a",
    "a//b",
    "a/../b",
    "a%2Fb",
    "%",
    "a+b",
    "a b",
    "a?b#c",
    "é",
    "e\u0301",
    "\uffff",
]
KEYS += ["😀", "\u0000", "\n", "\\", "\u0085", "health", "v1/kv/x", "bulk/get", "workerd/x", "-1"]
KEYS += ["k" * 512, "é" * 256, "%" * 512]

SAME: dict[str, Sequence[Call]] = {
    "what is missing": [
        *(("get", "none", kind) for kind in ("text", "json", "arrayBuffer", "stream")),
        *(("getWithMetadata", "none"), ("get", ["none", "n"]), ("getWithMetadata", ["none"])),
        ("delete", "none"),
    ],
    "types": [
        ("put", "t", TEXT),
        *(("get", "t", kind) for kind in ("text", "json", "arrayBuffer", "stream", "xml")),
        *(("getWithMetadata", "t", {"type": kind}) for kind in ("text", "json", "arrayBuffer")),
        ("put", "t", "not JSON"),
        ("get", "t", "json"),
    ],
    "what can be put": [
        *(
            call
            for value in (
                *(made("array", EVERY_BYTE), made("buffer", EVERY_BYTE), made("view", b"abcd")),
                *(made("stream", EVERY_BYTE), made("stream", b""), made("array", b""), ""),
                {"make": "pieces", "text": "piece", "times": 5},
                *("\ufeffx", "\ud800", 5, None, True, {"a": 1}, {"make": "undefined"}),
            )
            for call in (("put", "p", value), ("get", "p", "arrayBuffer"), ("get", "p"))
        ),
        ("get", "p", "json"),
    ],
    "metadata": [
        *(
            call
            for metadata in METADATA
            for call in (
                ("put", "m", "v", {"metadata": metadata}),
                ("getWithMetadata", "m"),
                ("getWithMetadata", ["m"]),
                ("list", {"prefix": "m"}),
            )
        ),
        *(
            ("put", "m", "v", {"metadata": text})
            for text in ("x" * 1022, "x" * 1023, "é" * 511, "é" * 512)
        ),
    ],
    "expiry": [
        *(
            ("put", "e", "v", {"expirationTtl": ttl})
            for ttl in (60, 59, 1, 0, -1, 60.7, "abc", "90", None, LATER, LATER + 1)
        ),
        *(("put", "e", "v", {"expiration": at}) for at in (1, 0, -1, LATER, LATER + 1, None)),
        ("put", "e", "v", {"expiration": LATER, "metadata": {"a": 1}}),
        ("list", {"prefix": "e"}),
        ("put", "e", "v", {"expiration": 1, "expirationTtl": 60}),
        ("put", "e", "v", {"expiration": LATER, "expirationTtl": 30}),
        ("put", "e", "v"),
        ("list", {"prefix": "e"}),
    ],
    "cacheTtl": [
        ("put", "c", "v"),
        *(("get", "c", {"cacheTtl": ttl}) for ttl in (30, 1e9, 29, 0, -1, "60")),
        *(("get", ["c"], {"cacheTtl": ttl}) for ttl in (30, 29, 0)),
    ],
    "many at once": [
        *(("put", "a", TEXT, {"metadata": {"m": 1}}), ("put", "b", "text")),
        *(("put", "false", "false"), ("put", "null", "null"), ("put", "empty", "")),
        ("put", "bytes", made("array", EVERY_BYTE)),
        *(("get", ["a", "b", "none", "a"]), ("getWithMetadata", ["a", "none"], "json")),
        *(("get", ["a", "false", "null"], "json"), ("get", ["empty"]), ("get", ["bytes"])),
        *(("get", ["b"], "json"), ("get", ["empty"], "json"), ("get", ["a", "bytes"], "json")),
        *(("get", ["a"], kind) for kind in ("arrayBuffer", "stream", "xml", "")),
        *(("get", [str(n) + "k" for n in range(many)]) for many in (0, 1, 100, 101)),
        *(("get", ["a", key]) for key in ("", ".", "..", "k" * 512, "k" * 513)),
        *(("put", "12", "v"), ("get", ["12", "b"])),
    ],
    "keys": [
        *(("put", key, key, {"metadata": len(key)}) for key in KEYS),
        *(("get", key) for key in KEYS),
        *(("list", {"prefix": key}) for key in KEYS if "\u0000" not in key),
        *(("list",), ("getWithMetadata", KEYS), ("list", {"limit": 5})),
        *(("delete", key) for key in KEYS),
        ("list",),
        *(
            (verb, key)
            for verb in ("get", "delete")
            for key in ("", ".", "..", "k" * 513, "k\ud800")
        ),
        *(("put", key, "v") for key in ("", ".", "..", "k" * 513, "k\ud800", None, 5)),
    ],
    "pages": [
        *(("put", f"{head}{n}", "v") for head in ("a/", "b/", "é/", "ö/") for n in range(3)),
        *(("list", {"limit": limit}) for limit in (0, -1, 1, 11, 12, 1000, 1001, 1.9, "abc")),
        *(("list", {"prefix": prefix}) for prefix in ("a/", "a/1", "", "c", None)),
        *(("list", {"limit": 2, "cursor": cursor}) for cursor in ("", None, "YS8x", "w6kvMQ==")),
        *(("list", None), ("list", {})),
    ],
}


class Difference(msgspec.Struct, frozen=True):
    """A call after which a Worker sees different results, the emulator's second."""

    what: str
    before: Sequence[Call]
    call: Call
    ours: dict[str, Any]
    theirs: dict[str, Any]


LARGE = {"make": "repeated", "text": "é", "times": 25 * 2**18 + 1}

DIFFERENCES = [
    Difference(
        "The message of an error",
        [],
        ("put", "k", "v", {"expirationTtl": 30}),
        {"error": "Error: KV PUT failed: 400 Bad Request"},
        {
            "error": "Error: KV PUT failed: 400 Invalid expiration_ttl of 30. "
            "Expiration TTL must be at least 60."
        },
    ),
    Difference(
        "Metadata with U+007F",
        [],
        ("put", "k", "v", {"metadata": "\u007f"}),
        {"error": "Error: KV PUT failed: 400 Bad Request"},
        {"value": {"undefined": True}},
    ),
    Difference(
        "Metadata with half a surrogate pair",
        [],
        ("put", "k", "v", {"metadata": "\ud800"}),
        {"error": "Error: KV PUT failed: 400 Bad Request"},
        {"value": {"undefined": True}},
    ),
    Difference(
        "`getWithMetadata([…])` of an empty text, or of `false`, `0` or `null` as JSON",
        [("put", "k", "", {"metadata": 1})],
        ("getWithMetadata", ["k"]),
        {"value": {"map": [["k", {"value": "", "metadata": 1}]]}},
        {"value": {"map": [["k", ""]]}},
    ),
    Difference(
        "`get([…])` of a key named `__proto__`",
        [("put", "__proto__", "v")],
        ("get", ["__proto__"]),
        {"value": {"map": [["__proto__", "v"]]}},
        {"value": {"map": []}},
    ),
    Difference(
        "`get([…])` of text that begins with a byte order mark",
        [("put", "k", "\ufeffv")],
        ("get", ["k"]),
        {"value": {"map": [["k", "\ufeffv"]]}},
        {"value": {"map": [["k", "v"]]}},
    ),
    Difference(
        '`get([…], "json")` of JSON with half a surrogate pair, or with bytes that are not UTF-8',
        [("put", "k", '"\\ud800"')],
        ("get", ["k"], "json"),
        {"error": "Error: KV GET_BULK failed: 400 Bad Request"},
        {"value": {"map": [["k", "\ud800"]]}},
    ),
    Difference(
        "`get([…])` of more than 25 MiB",
        [("put", "k", LARGE), ("put", "l", LARGE)],
        ("getWithMetadata", ["k", "l"]),
        {"error": "Error: KV GET_BULK failed: 413 Payload Too Large"},
        {
            "value": {
                "map": [
                    [key, {"value": {"text": {"size": 13107202}}, "metadata": None}]
                    for key in ("k", "l")
                ]
            }
        },
    ),
    Difference(
        "`list` with an invalid cursor",
        [],
        ("list", {"cursor": "nonsense"}),
        {"error": "Error: KV GET failed: 400 Bad Request"},
        {"value": {"keys": [], "list_complete": True, "cacheStatus": None}},
    ),
    Difference(
        "`list` with a prefix of more than 512 bytes",
        [],
        ("list", {"prefix": "k" * 513}),
        {"value": {"keys": [], "list_complete": True, "cacheStatus": None}},
        {
            "error": "Error: KV GET failed: 414 UTF-8 encoded length of 513 exceeds "
            "key length limit of 512."
        },
    ),
    Difference(
        "`list` with U+0000 in the prefix",
        [("put", "\u0000k", "v")],
        ("list", {"prefix": "\u0000"}),
        {"value": {"keys": [{"name": "\u0000k"}], "list_complete": True, "cacheStatus": None}},
        {"value": {"keys": [], "list_complete": True, "cacheStatus": None}},
    ),
]

BY_CHANCE = [
    "A stream of unknown length that breaks off",
    "The expiration in `list` of a value with `expirationTtl`",
]
"""Differences that do not show each time."""


@pytest.fixture(scope="module")
def emulator(
    modules: Path, require_program: Callable[[str, str], str]
) -> Iterator[RunningEmulator]:
    with RunningEmulator(require_program("node", "nodejs"), modules) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def ours(modules: Path) -> Iterator[RunningWorkerd]:
    with (
        ServedStore() as server,
        RunningWorkerd(modules, server.url, {"KV": server.headers}) as worker,
    ):
        yield worker


@pytest.fixture
def both(ours: RunningWorkerd, emulator: RunningEmulator) -> tuple[Worker, Worker]:
    for worker in (ours, emulator):
        while keys := worker.call("list")["keys"]:
            worker.calls(*(("delete", key["name"]) for key in keys))
    return ours, emulator


@pytest.mark.deep
@pytest.mark.parametrize("about", SAME)
def test_a_worker_sees_what_the_emulator_would_show_it(
    both: tuple[Worker, Worker], about: str
) -> None:
    calls = SAME[about]
    got, emulated = (worker.calls(*calls) for worker in both)
    for call, one, other in zip(calls, got, emulated, strict=True):
        assert without_words(one) == without_words(other), call


@pytest.mark.deep
@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda one: one.what)
def test_a_difference_is_as_documented(both: tuple[Worker, Worker], difference: Difference) -> None:
    for worker, expected in zip(both, (difference.ours, difference.theirs), strict=True):
        assert all("value" in told for told in worker.calls(*difference.before))
        assert without_digest(worker.calls(difference.call)[0]) == expected


def test_the_docs_have_every_difference() -> None:
    table = re.findall(r"^\| (.+?) \|", PAGE.read_text(), re.MULTILINE)
    assert table[-len(DIFFERENCES + BY_CHANCE) :] == [
        *(difference.what for difference in DIFFERENCES),
        *BY_CHANCE,
    ]


def without_words(told: dict[str, Any]) -> dict[str, Any]:
    """Return the outcomes, of refusals only the status."""
    if "error" not in told:
        return told
    return {"error": re.sub(r"(KV \w+ failed: \d+) .*", r"\1", told["error"], flags=re.DOTALL)}


def without_digest(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: without_digest(one) for name, one in told.items() if name != "sha256"}
    return [without_digest(one) for one in told] if isinstance(told, list) else told
