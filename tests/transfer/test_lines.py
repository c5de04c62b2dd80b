"""Test the lines of an export."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.files import LIMITS
from workertown_kv.entry import MAX_EXPIRES_AT, Entry
from workertown_kv.errors import InputError
from workertown_kv.namespaces import Namespace
from workertown_kv.operations import Set
from workertown_kv.testing.strategies import JSON_TEXTS, KEYS
from workertown_kv.transfer.lines import (
    End,
    Header,
    decode_end,
    decode_line,
    encode_end,
    encode_entry,
    encode_header,
    encode_namespace,
)

SPACE = st.text(" \t\r\n", max_size=3)
JSON_VALUES = st.builds(lambda a, text, b: f"{a}{text}{b}".encode(), SPACE, JSON_TEXTS, SPACE)
METADATA = JSON_TEXTS.map(str.encode).filter(lambda text: len(text) <= 1024 and text != b"null")
EXPIRIES = st.none() | st.floats(-1e9, MAX_EXPIRES_AT) | st.integers(0, MAX_EXPIRES_AT).map(float)


def compact(text: bytes) -> bytes:
    return json.dumps(json.loads(text), separators=(",", ":")).encode()


@given(KEYS, JSON_VALUES | st.binary(), st.none() | METADATA.map(compact), EXPIRIES, st.booleans())
def test_an_entry_comes_back_from_its_line(
    key: str, value: bytes, metadata: bytes | None, expires_at: float | None, as_bytes: bool
) -> None:
    is_json = not as_bytes and is_decodable(value)
    entry = Entry(
        key=key,
        value=value,
        is_json=is_json,
        metadata=metadata,
        expires_at=expires_at,
        version="1",
    )
    line = encode_entry(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    line.decode()
    json.loads(line)
    found = decode_line(line[:-1], "default", LIMITS)
    assert isinstance(found, Set)
    assert found.entry("1") == entry


def is_decodable(value: bytes) -> bool:
    try:
        json.loads(value.decode())
    except (ValueError, RecursionError):
        return False
    return not {"NaN", "Infinity"} & set(value.decode().replace("-", "").split()) and (
        b"NaN" not in value and b"Infinity" not in value
    )


LINES: dict[str, tuple[dict[str, Any], bytes]] = {
    "theme": ({"value": b'"dark"'}, b'{"key": "theme", "value": "dark"}\n'),
    "odd": (
        {"value": b"[1,\n 2]", "expires_at": 1795909059.25},
        b'{"key": "odd", "text": "[1,\\n 2]", "expires_at": 1795909059.25}\n',
    ),
    "photo": (
        {"value": b"\0\1", "is_json": False, "metadata": b'{"type":"png"}', "expires_at": 9.0},
        b'{"key": "photo", "base64": "AAE=", "expires_at": 9, "metadata": {"type":"png"}}\n',
    ),
    # Another program has written these rows.
    "text that is no JSON": (
        {"value": b"dark"},
        b'{"key": "text that is no JSON", "base64": "ZGFyaw=="}\n',
    ),
    "metadata in lines": (
        {"value": b"1", "metadata": b'{\n"a": 1}'},
        b'{"key": "metadata in lines", "value": 1, "metadata": { "a": 1}}\n',
    ),
}


@pytest.mark.parametrize("key", LINES)
def test_lines_have_the_documented_form(key: str) -> None:
    fields, line = LINES[key]
    assert encode_entry(Entry(key=key, version="1", **fields)) == line


def test_the_other_lines_come_back() -> None:
    namespace = Namespace("0" * 31 + "1", 'a "title"\n', "account")
    for line, expected in (
        (encode_header(1795905459.5), Header(1, 1795905459)),
        (encode_namespace(namespace), namespace),
        (encode_end(3, "ab"), End(True, 3, "ab")),
    ):
        assert line.count(b"\n") == 1
        assert decode_line(line, "default", LIMITS) == expected
    assert decode_end(encode_end(3, "ab")) == End(True, 3, "ab")
    assert decode_end(b'{"key": "end", "value": 1}') is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "expected an entry, as in"),
        (b"[1]", "got another JSON value"),
        (b'{"key": "a"', "truncated"),
        (b'{"key": "a"}', "there is no value; expected value, text or base64"),
        (b'{"key": 1, "value": 1}', "Expected `str`, got `int`"),
        (b'{"value": 1}', "missing required field `key`"),
        (b'{"key": "a", "value": 1, "ttl": 1}', "unknown field `ttl`"),
        (b'{"key": "a", "value": 1, "text": "1"}', "only one of value, text and base64"),
        (b'{"key": "a", "text": "1", "base64": ""}', "only one of value, text and base64"),
        (b'{"key": "", "value": 1}', "The key is empty"),
        (b'{"key": "%b", "value": 1}' % (b"k" * 3000), "The key has 3,000 bytes"),
        (b'{"key": "a", "value": "%b"}' % (b"v" * LIMITS.value_bytes), "The value has 1,048,578"),
        (b'{"key": "a", "value": "\xff"}', "value is not in UTF-8"),
        (b'{"key": "a", "value": "\\ud800"}', "expected an entry"),
        (b'{"key": "a", "value": NaN}', "expected an entry"),
        (b'{"key": "a", "value": %b}' % (b"[" * 513 + b"]" * 513), "nested deeper than 512"),
        (b'{"key": "a", "text": "dark"}', "text is not JSON"),
        (b'{"key": "a", "base64": "A"}', "base64 is not base64 text"),
        (b'{"key": "a", "base64": "A A="}', "base64 is not base64 text"),
        (b'{"key": "a", "value": 1, "expires_at": 1e300}', "after the year 9999"),
        (b'{"key": "a", "value": 1, "expires_at": "soon"}', "Expected `float"),
        (b'{"key": "a", "value": 1, "metadata": "%b"}' % (b"m" * 2000), "metadata has 2,002"),
        (b'{"key": "a", "value": 1, "metadata": "\xff"}', "metadata is not in UTF-8"),
        (b'{"workertown_kv_export": 2, "at": 1}', "has the format 2; this version"),
        (b'{"namespace": "default", "title": "a"}', "expected an id of 32 hex digits"),
        (b'{"namespace": "%b", "title": ""}' % (b"1" * 32), "The title has 0 characters"),
        (b'{"end": true, "count": "3", "sha256": ""}', "Expected `int`, got `str`"),
    ],
)
def test_the_error_of_a_wrong_line_says_what_is_wrong(line: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_line(line, "default", LIMITS)
    # `InputError` in an answer has no line breaks, and does not repeat a long line.
    said = caught.value.message + "".join(one.message for one in caught.value.details)
    assert message in said
    assert len(said) < 300
    assert "\n" not in said
