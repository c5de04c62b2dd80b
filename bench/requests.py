"""Makes the sequences of requests that a load repeats."""

import json
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Final

from .data import Data
from .server import Request, Server

Requests = Callable[[Server, Data], Sequence[Request]]
"""Makes the requests for a server with this data. The first of each method is checked first."""

_SAMPLE: Final = 50_000
"""The most requests in a sequence: the load generator keeps all of them in memory."""
_ZIPF_EXPONENT: Final = 0.99  # as in the workloads of YCSB


def gets(server: Server, data: Data) -> Sequence[Request]:
    """Read all keys in random order; of very many keys, a random sample."""
    return [server.get(data.key(number)) for number in _uniform(data)]


def puts(server: Server, data: Data) -> Sequence[Request]:
    """Write all keys in random order."""
    assert server.put is not None
    return [server.put(data.key(number), data.value) for number in _uniform(data)]


def mix(reads: float) -> Requests:
    """Read with this share and write with the rest, a few keys much more often than others."""

    def requests(server: Server, data: Data) -> Sequence[Request]:
        assert server.put is not None
        random = Random(1)
        weights = accumulate((rank + 1) ** -_ZIPF_EXPONENT for rank in range(data.keys))
        numbers = random.choices(range(data.keys), cum_weights=list(weights), k=_SAMPLE)
        return [
            server.get(data.key(number))
            if random.random() < reads
            else server.put(data.key(number), data.value)
            for number in numbers
        ]

    return requests


def missing(server: Server, data: Data) -> Sequence[Request]:
    """Read keys that are not there."""
    return [server.get(f"no-{data.key(number)}") for number in _uniform(data)]


def unchanged(server: Server, data: Data) -> Sequence[Request]:
    """Read values that the client has already, so that the answer is 304."""
    reads = [server.get(data.key(number)) for number in range(100)]
    tags = [server.expect(read)["etag"] for read in reads]
    return [
        Request(read.method, read.path, headers={"If-None-Match": tag})
        for read, tag in zip(reads, tags, strict=True)
    ]


def pages(_: Server, data: Data) -> Sequence[Request]:
    """List pages of 100 keys, each from another prefix."""
    prefixes = [data.key(number)[:-2] for number in range(0, data.keys, 100)]
    return [Request("GET", f"/v1/kv?prefix={prefix}&limit=100") for prefix in prefixes]


def batches(_: Server, data: Data) -> Sequence[Request]:
    """Read 100 values with each request."""
    numbers = _uniform(data)
    return [
        _batch([{"op": "get", "key": data.key(number)} for number in numbers[at : at + 100]])
        for at in range(0, len(numbers), 100)
    ]


def fill(data: Data) -> Sequence[Request]:
    """Write all keys by batches, for the native API. Only the order of the keys is plain."""
    # A batch has at most 1,000 operations, and 32 MiB.
    step = max(1, min(500, 30_000_000 // (data.size + 100)))
    value = json.loads(data.value)
    return [
        _batch(
            [
                {"op": "set", "key": data.key(number), "value": value}
                for number in range(at, min(at + step, data.keys))
            ]
        )
        for at in range(0, data.keys, step)
    ]


def _batch(operations: Sequence[object]) -> Request:
    return Request("POST", "/v1/kv", json.dumps({"operations": operations}, separators=(",", ":")))


def _uniform(data: Data) -> Sequence[int]:
    random = Random(1)  # every server and every run gets the same sequence
    return random.sample(range(data.keys), min(data.keys, _SAMPLE))
