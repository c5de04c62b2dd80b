"""Test files of other forms: Cloudflare's bulk form, and CSV."""

import json
from codecs import BOM_UTF8
from itertools import chain

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.files import LIMITS, entries_of, exported, imported, store_of
from workertown_kv.entry import DEFAULT_NAMESPACE, Entry
from workertown_kv.operations import Set
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.strategies import JSON_TEXTS, KEYS
from workertown_kv.transfer import cloudflare_bulk
from workertown_kv.transfer.cloudflare_bulk import BulkDecoder, BulkEncoder
from workertown_kv.transfer.csv_rows import CsvDecoder
from workertown_kv.transfer.forms import BadFile

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0


def bulk() -> BulkDecoder:
    return BulkDecoder(LIMITS, MovedClock(NOW))


async def entries_in(
    file: bytes, decoder: BulkDecoder | CsvDecoder, block_bytes: int
) -> list[Entry]:
    store = store_of(MemoryStorage(clock=MovedClock(NOW)))
    await imported(store, file, decoder, block_bytes=block_bytes)
    return (await entries_of(store))["0" * 32]


def made(key: str, value: bytes, **fields: object) -> Entry:
    return Entry(key=key, value=value, version="", **fields)  # type: ignore[arg-type]


@settings(max_examples=30)
@given(
    st.dictionaries(
        KEYS,
        st.tuples(
            JSON_TEXTS.map(lambda text: (text.encode(), True))
            | st.just((b"\0\xff", False))
            | st.just((b"not JSON", False)),
            st.sampled_from([None, b'{"a":1}', b"[1]", b'"text"']),
            st.none() | st.integers(1_900_000_000, 2_000_000_000).map(float),
        ),
        max_size=6,
    ),
    st.integers(1, 100),
)
async def test_cloudflares_bulk_form_keeps_all_but_fractions_of_seconds(
    given: dict[str, tuple[tuple[bytes, bool], bytes | None, float | None]], block_bytes: int
) -> None:
    store = store_of(MemoryStorage(clock=MovedClock(NOW)))
    for key, ((value, is_json), metadata, expires_at) in given.items():
        await store.storage.set(
            Set(
                namespace=DEFAULT_NAMESPACE,
                key=key,
                value=value,
                is_json=is_json,
                metadata=metadata,
                expires_at=expires_at,
            )
        )
    file = await exported(store, BulkEncoder())
    json.loads(file)
    assert await entries_in(file, bulk(), block_bytes) == (await entries_of(store))["0" * 32]


@pytest.mark.parametrize("block_bytes", [1, 1000])
async def test_a_bulk_file_of_others_is_read(block_bytes: int) -> None:
    file = rb""" [ {"key" : "a", "value": "dark", "expiration_ttl": 90, "extra": null},
      {"key":"b","value":"{\"n\":1}","metadata":{"a": 1}} ,{"key":"c","value":"AAE=","base64":true},
      {"key":"d","value":"1","expiration":1900000000,"metadata":null} ]
    """
    assert await entries_in(file, bulk(), block_bytes) == [
        made("a", b"dark", is_json=False, expires_at=NOW + 90),
        made("b", b'{"n":1}', metadata=b'{"a":1}'),
        made("c", b"\0\1", is_json=False),
        made("d", b"1", expires_at=1_900_000_000.0),
    ]
    assert await entries_in(b"[]", bulk(), block_bytes) == []
    assert len(await entries_in(BOM_UTF8 + file, bulk(), block_bytes)) == 4


@pytest.mark.parametrize("block_bytes", [1, 1000])
@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "cut off after 0 pairs (byte 0): expected ["),
        (b"{}", "Pair 1 (from byte 0): expected ["),
        (b'[{"key":"a","value":"1"}', "cut off after 1 pairs (byte 24): expected , or ]"),
        (b'[{"key":"a","value":"1"} {', "Pair 2 (from byte 25): expected , or ]"),
        (b'[{"key":"a","value":"1"},]', "Pair 2 (from byte 25): expected an object"),
        (b'[{"key":"a","value":"1"},', "expected a pair"),
        (b"[] 1", "expected nothing"),
        (b"[1]", "Pair 1 (from byte 1): expected an object"),
        (b'[{"key":"a"}]', "missing required field `value`"),
        (b'[{"key":"a","value":1}]', "Expected `str`, got `int`"),
        (b'[{"key":"a","value":"?","base64":true}]', "the value is not base64 text"),
        (b'[{"key":"","value":"1"}]', "The key is empty"),
        (b'[{"key":"a","value":"\xff"}]', "Pair 1 (from byte 1): the pair is not in UTF-8"),
        (b'[{"key":"\xff","value":""}]', "Pair 1 (from byte 1): the pair is not in UTF-8"),
        (b'[{"key":"a","value":nope}]', "Pair 1 (from byte 1): JSON is malformed"),
    ],
)
async def test_a_wrong_bulk_file_is_refused(block_bytes: int, file: bytes, message: str) -> None:
    with pytest.raises(BadFile) as caught:
        await entries_in(file, bulk(), block_bytes)
    assert message in caught.value.message


@pytest.mark.parametrize("block_bytes", [1, 1000])
async def test_csv_with_a_column_of_values_is_read(block_bytes: int) -> None:
    file = (
        "\ufeffvalue,key,expires_at,metadata,note\r\n"
        'dark,a,,,\r\n"{""n"": 1}",b,1900000000.5,"{""a"": 1}",x\r\n\r\n'
        '"two\nlines, ""quoted""",é,,,\r\n7,c,,,'
    ).encode()
    assert await entries_in(file, CsvDecoder(LIMITS), block_bytes) == [
        made("a", b'"dark"'),
        made("b", b'{"n": 1}', expires_at=1_900_000_000.5, metadata=b'{"a":1}'),
        made("c", b"7"),
        made("é", rb'"two\nlines, \"quoted\""'),
    ]


async def test_csv_without_a_column_of_values_becomes_objects() -> None:
    decoder = CsvDecoder(LIMITS, "id")
    assert await entries_in(b"name,id,zip\nAda,1,01234\nBob,2,\n", decoder, 9) == [
        made("1", b'{"name":"Ada","zip":"01234"}'),
        made("2", b'{"name":"Bob","zip":""}'),
    ]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "The file is empty"),
        (b"id,value\n1,2\n", "Line 1: there is no column 'key'; expected --key-column to be one "),
        (b"key,a,a\n", "Line 1: two columns have the same name"),
        (b"key,value\na,1\nb\n", "Line 3: the row has 1 cells; expected 2"),
        (b'key,value\na,"1\n', "Line 2: the file is cut off inside of quotes"),
        (b'key,value\na,"1"x\n', "Line 2: "),
        (b"key,value\n,1\n", "Line 2: The key is empty"),
        (b"key,value\na,\xff\n", "Line 2: the file is not in UTF-8"),
        (b"\xef\xbb\xbfkey\n\xff\n", "Line 2: the file is not in UTF-8"),
        (b'key\n"a\nb\n\xff"\n', "Line 4: the file is not in UTF-8"),
        (b"key\na\n\xc3", "Line 3: the file is not in UTF-8"),
        (b"key,value,expires_at\na,1,soon\n", "Line 2: expires_at is 'soon'; expected Unix"),
        (b"key,value,metadata\na,1,x\n", "Line 2: metadata is not JSON"),
        (b"key,value\na," + b"x" * LIMITS.value_bytes + b"\n", "Line 2: The value has"),
        (b"key,value\na," + b"x" * (LIMITS.line_bytes + 9) + b"\n", "the row has more than"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 100_000])
async def test_a_wrong_csv_file_is_refused(file: bytes, message: str, block_bytes: int) -> None:
    with pytest.raises(BadFile) as caught:
        await entries_in(file, CsvDecoder(LIMITS), max(block_bytes, len(file) // 1000))
    assert message in caught.value.message


class Reading:
    """A JSON decoder that counts the bytes that it is given."""

    def __init__(self) -> None:
        self.bytes = 0

    def decode(self, text: memoryview) -> object:
        self.bytes += len(text)
        return msgspec.json.decode(text, type=msgspec.Raw)


def test_a_long_pair_in_many_blocks_is_not_read_again_for_each_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading = Reading()
    monkeypatch.setattr(cloudflare_bulk, "_ANY", reading)
    pairs = [{"key": key, "value": key * 500_000} for key in "abc"]
    pairs += [{"key": f"after-{number}", "value": "1"} for number in range(100)]
    file = json.dumps(pairs).encode()
    decoder = bulk()
    found = []
    for start in range(0, len(file), 1000):
        found += list(decoder.feed(file[start : start + 1000]))
    found += list(decoder.finish())
    keys = [one.key for one in found if isinstance(one, Set)]
    assert keys == [pair["key"] for pair in pairs]
    assert reading.bytes < 10 * len(file)


def test_a_pair_without_an_end_is_refused_as_soon_as_it_is_too_long() -> None:
    decoder = bulk()
    blocks = [b'[{"key":"', *[b"x" * 100_000] * (2 * LIMITS.line_bytes // 100_000)]
    with pytest.raises(BadFile, match="the pair has more than"):
        list(chain.from_iterable(decoder.feed(block) for block in blocks))
    assert decoder.pending_bytes <= LIMITS.line_bytes + 200_000
