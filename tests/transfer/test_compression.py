"""Test compressed files."""

import gzip
import random

import pytest

from workertown_kv.transfer import compression
from workertown_kv.transfer.compression import Compression, Decompressor, compressor
from workertown_kv.transfer.forms import BadFile

KINDS = pytest.mark.parametrize("kind", [Compression.GZIP, Compression.ZSTD])
PIECES = [b"a" * 3_000_000, b"", random.Random(1).randbytes(300_000), b"\n"]


def compressed(kind: Compression) -> bytes:
    made = compressor(kind)
    return b"".join([*map(made.compress, PIECES), made.flush()])


def decompressed(kind: Compression, file: bytes, block_bytes: int = 10_000) -> list[bytes]:
    made = Decompressor(kind)
    pieces: list[bytes] = []
    for start in range(0, len(file), block_bytes):
        pieces += made.feed(file[start : start + block_bytes])
    made.finish()
    return pieces


@pytest.mark.parametrize("kind", Compression)
@pytest.mark.parametrize("block_bytes", [100, 10_000, 10_000_000])
def test_what_was_compressed_comes_back_in_small_pieces(
    kind: Compression, block_bytes: int
) -> None:
    file = compressed(kind)
    pieces = decompressed(kind, file, block_bytes)
    assert b"".join(pieces) == b"".join(PIECES)
    if kind is not Compression.NONE:
        assert len(file) < 400_000
        assert max(map(len, pieces)) <= compression.PIECE_BYTES


@KINDS
def test_streams_that_follow_each_other_are_one_file(kind: Compression) -> None:
    file = compressed(kind)
    pieces = decompressed(kind, file + file)
    assert b"".join(pieces) == b"".join(PIECES) * 2


@KINDS
def test_damaged_data_is_refused(kind: Compression) -> None:
    file = compressed(kind)
    for bad, message in (
        (b"", "is cut off"),
        (file[:-1], "is cut off"),
        (b"plain text, not compressed", "is damaged"),
        (file + b"more", "is damaged"),
        (file[:2000] + b"\xff" * 50 + file[2050:], "is damaged"),
    ):
        if message == "is damaged" and bad.endswith(b"more") and kind is Compression.ZSTD:
            continue  # four bytes may be the beginning of a frame
        with pytest.raises(BadFile, match=message):
            decompressed(kind, bad)


def test_a_stream_that_needs_much_memory_is_refused() -> None:
    zstd = compression._zstd()
    options = {zstd.CompressionParameter.window_log: 27}
    made = zstd.ZstdCompressor(options=options)
    file = made.compress(b"a" * 1000, zstd.ZstdCompressor.FLUSH_BLOCK) + made.flush()
    with pytest.raises(BadFile, match="is damaged"):
        decompressed(Compression.ZSTD, file)


def test_others_read_what_is_compressed() -> None:
    assert gzip.decompress(compressed(Compression.GZIP)) == b"".join(PIECES)
