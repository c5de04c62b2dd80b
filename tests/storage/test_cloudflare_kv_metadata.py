"""Test which metadata is kept in Workers KV as it is, so that Workers can read its members."""

import json
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given

from workertown_kv.storage.cloudflare_kv.javascript import survives
from workertown_kv.testing.strategies import JSON_TEXTS

UNCHANGED = """
for (const text of JSON.parse(require("fs").readFileSync(0)))
  console.log(JSON.stringify(JSON.parse(text)) === text)
"""
"""Prints for each JSON text whether it stays the same."""


def unchanged(node: str, texts: list[str]) -> list[bool]:
    printed = subprocess.run(
        [node, "-e", UNCHANGED], input=json.dumps(texts), capture_output=True, text=True, check=True
    ).stdout
    return [line == "true" for line in printed.splitlines()]


KEPT = [
    "{}",
    '{"a":[1,-2.5,0.0001,123456.789,"é\U0001f600\\"\\\\\\n\\u0001",null,true,{"b":{}}]}',
    '{"b":1,"a":9007199254740992}',
]
CHANGED = [
    *('{"a": 1}', '{"a":1.0}', '{"a":-0}', '{"a":1e2}', '{"a":1E400}', '{"a":9007199254740993}'),
    *('{"a":0.00001}', '{"a":1e-7}', '{"a":1,"a":1}', '{"2":0,"1":0}', '{"a":"\\u00e9"}'),
    *('{"a":"\\/"}', '{"a":123456789.123456789}', '{"a":1e21}', '{"a":"\\ud800"}'),
]


def test_metadata_that_javascript_changes_is_kept_as_text(
    require_program: Callable[[str, str], str],
) -> None:
    node = require_program("node", "nodejs")
    assert [survives(text) for text in KEPT] == [True] * len(KEPT)
    assert [survives(text) for text in CHANGED] == [False] * len(CHANGED)
    texts = [*KEPT, *CHANGED]

    @given(JSON_TEXTS)
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    for text, is_unchanged in zip(texts, unchanged(node, texts), strict=True):
        assert is_unchanged or not survives(text), text


@pytest.mark.parametrize("text", ["", "{", '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_text_that_is_no_json_is_kept_as_text(text: str) -> None:
    assert not survives(text)
