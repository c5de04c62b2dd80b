"""List all metrics of a server, except those of its processes."""

from collections.abc import Mapping
from typing import Final

from .metric import Across, Kind, Metric

_LATENCIES: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_SIZES: Final = (1, 2, 5, 10, 25, 50, 100, 250)
_ROUTE: Final = ("route", "method")

REQUESTS: Final = Metric(
    name="kv_http_requests_total",
    kind=Kind.COUNTER,
    meaning="Requests that are over, by the template of their route, method and status.",
    labels=(*_ROUTE, "status"),
)
LATENCY: Final = Metric(
    name="kv_http_request_duration_seconds",
    kind=Kind.HISTOGRAM,
    meaning="How long these requests took, from their header fields to the end of their answers.",
    labels=_ROUTE,
    bounds=_LATENCIES,
)
RECEIVED: Final = Metric(
    name="kv_http_received_bytes_total",
    kind=Kind.COUNTER,
    meaning="Bytes of the bodies of requests that were read.",
    labels=_ROUTE,
)
SENT: Final = Metric(
    name="kv_http_sent_bytes_total",
    kind=Kind.COUNTER,
    meaning="Bytes of the bodies of answers.",
    labels=_ROUTE,
)
CONNECTIONS: Final = Metric(
    name="kv_http_connections", kind=Kind.GAUGE, meaning="Connections of clients that are open."
)
MOST_CONNECTIONS: Final = Metric(
    name="kv_http_connections_max",
    kind=Kind.GAUGE,
    meaning="Connections that may be open at once; further connections get 503.",
)
RUNNING: Final = Metric(
    name="kv_http_requests_running",
    kind=Kind.GAUGE,
    meaning="Requests that wait for the storage or for their client, streams included.",
)
STREAMS: Final = Metric(
    name="kv_change_streams", kind=Kind.GAUGE, meaning="Streams of changes that are open."
)
MOST_STREAMS: Final = Metric(
    name="kv_change_streams_max",
    kind=Kind.GAUGE,
    meaning="Streams of changes that may be open at once; further streams get 503.",
)
MEMORY: Final = Metric(
    name="kv_memory_held_bytes",
    kind=Kind.GAUGE,
    meaning="Memory that large bodies and answers take now.",
)
MOST_MEMORY: Final = Metric(
    name="kv_memory_limit_bytes",
    kind=Kind.GAUGE,
    meaning="Memory that they may take together; further large requests get 503.",
)
CACHE_HITS: Final = Metric(
    name="kv_cache_hits_total",
    kind=Kind.COUNTER,
    meaning="Reads that the read cache answered.",
)
CACHE_MISSES: Final = Metric(
    name="kv_cache_misses_total",
    kind=Kind.COUNTER,
    meaning="Reads that the read cache passed on to the storage, or that waited for such a read.",
)
CACHE_ENTRIES: Final = Metric(
    name="kv_cache_entries", kind=Kind.GAUGE, meaning="Entries that the read cache keeps."
)
CACHE_BYTES: Final = Metric(
    name="kv_cache_bytes",
    kind=Kind.GAUGE,
    meaning="Memory that these entries take, approximately.",
)
GROUP_SIZE: Final = Metric(
    name="kv_storage_group_operations",
    kind=Kind.HISTOGRAM,
    meaning="How many operations shared a transaction or a round trip.",
    labels=("operations",),
    bounds=_SIZES,
)
GROUP_SECONDS: Final = Metric(
    name="kv_storage_group_duration_seconds",
    kind=Kind.HISTOGRAM,
    meaning="How long such a group took; with SQLite, this is a transaction with its commit.",
    labels=("operations",),
    bounds=_LATENCIES,
)
WAITING: Final = Metric(
    name="kv_storage_waiting_operations",
    kind=Kind.GAUGE,
    meaning="Operations that wait for the group before them.",
    labels=("operations",),
)
FAILURES: Final = Metric(
    name="kv_storage_failures_total",
    kind=Kind.COUNTER,
    meaning="Failures of the storage that requests and checks met, by kind.",
    labels=("kind",),
)
USABLE: Final = Metric(
    name="kv_storage_usable",
    kind=Kind.GAUGE,
    meaning="1 if the last check found that the storage takes reads, or writes; otherwise 0.",
    labels=("operations",),
    across=Across.SMALLEST,
)
SWEPT: Final = Metric(
    name="kv_storage_swept_entries_total",
    kind=Kind.COUNTER,
    meaning="Expired entries whose space the server reclaimed.",
)
PURGED: Final = Metric(
    name="kv_storage_purged_keys_total",
    kind=Kind.COUNTER,
    meaning="Keys of deleted namespaces that the server removed.",
)
ENTRIES: Final = Metric(
    name="kv_storage_entries",
    kind=Kind.GAUGE,
    meaning="Entries in memory, expired entries included.",
)
FILE_BYTES: Final = Metric(
    name="kv_storage_file_bytes",
    kind=Kind.GAUGE,
    meaning="Size of the SQLite file.",
    across=Across.LARGEST,
)
LOG_BYTES: Final = Metric(
    name="kv_storage_log_bytes",
    kind=Kind.GAUGE,
    meaning="Size of the write-ahead log of SQLite.",
    across=Across.LARGEST,
)
POOL: Final = Metric(
    name="kv_storage_connections",
    kind=Kind.GAUGE,
    meaning="Connections to the database server, by state: used, or idle.",
    labels=("state",),
)
MOST_POOL: Final = Metric(
    name="kv_storage_connections_max",
    kind=Kind.GAUGE,
    meaning="Connections to the database server that the workers may make together.",
)
POOL_WAITING: Final = Metric(
    name="kv_storage_connections_waiting",
    kind=Kind.GAUGE,
    meaning="Operations that wait for a connection.",
)
WORKERS: Final = Metric(
    name="kv_workers", kind=Kind.GAUGE, meaning="Workers that `serve` keeps running."
)
RESTARTS: Final = Metric(
    name="kv_worker_restarts_total",
    kind=Kind.COUNTER,
    meaning="Workers that ended unexpectedly, and were replaced.",
)
DONE: Final = "done"
REFUSED: Final = "refused"
LATE: Final = "late"
RELOADS: Final = Metric(
    name="kv_reloads_total",
    kind=Kind.COUNTER,
    meaning="Reloads after SIGHUP: done, refused because of a fault in the files, or late, if not "
    "all workers have reloaded in time.",
    labels=("result",),
)
BUILD: Final = Metric(
    name="kv_build_info",
    kind=Kind.GAUGE,
    meaning="Always 1; the labels have the versions and the kind of storage.",
    labels=("version", "python", "storage"),
    across=Across.LARGEST,
)

METRICS: Final[Mapping[str, Metric]] = {
    found.name: found for found in tuple(globals().values()) if isinstance(found, Metric)
}
"""All metrics by their names, in the order in which they are shown."""
