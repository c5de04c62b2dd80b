"""Kinto: a JSON store in Python, in an environment of its own that the bench makes and keeps."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from workertown_kv.testing.served import free_port

from ..data import Data
from ..processes import running
from ..programs import Missing
from ..server import Request, Server

NAME: Final = "Kinto"
VERSION: Final = "26.5.0"
ABOUT: Final = (
    f"Kinto {VERSION} under waitress as `kinto start` runs it, 1 process; everything in memory, so "
    "a write is not on the disk; 1,000 keys, since it is slow to fill; Basic credentials"
)
_ENVIRONMENT: Final = Path(__file__).parents[2] / ".venv-kinto"
_RECORDS: Final = "/v1/buckets/bench/collections/values/records"
_KEYS: Final = 1_000
_BATCH: Final = 25
"""The most requests of a batch by default."""
_CONFIGURATION: Final = """
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = bench
multiauth.policies = basicauth
kinto.bucket_create_principals = system.Authenticated
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(message)s
"""


@contextmanager
def kinto(folder: Path, data: Data) -> Iterator[Server]:
    """Start Kinto with a bucket and a collection."""
    program = _install()
    port = free_port()
    (folder / "kinto.ini").write_text(_CONFIGURATION.format(port=port))
    with running([program, "start", "--ini", "kinto.ini"], port, folder) as pid:
        authorization = "Basic " + base64.b64encode(b"ada:engine").decode()
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        server = Server(NAME, port, (pid,), _get, _put, headers, shown=_shown)
        server.expect(Request("PUT", "/v1/buckets/bench"), 201)
        server.expect(Request("PUT", "/v1/buckets/bench/collections/values"), 201)
        for at in range(0, _KEYS, _BATCH):
            puts = [_put(data.key(number), data.value) for number in range(at, at + _BATCH)]
            requests = [
                {"method": one.method, "path": one.path, "body": json.loads(one.body)}
                for one in puts
            ]
            body = json.dumps({"requests": requests})
            server.expect(Request("POST", "/v1/batch", body), text='"status":201')
        yield server


def _install() -> str:
    program = _ENVIRONMENT / "bin" / "kinto"
    if not program.exists():
        pip = [str(_ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
            subprocess.run([*pip, f"kinto=={VERSION}"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            raise Missing(
                f"pip could not install kinto {VERSION}; with a package index: "
                f"python -m venv .venv-kinto && .venv-kinto/bin/pip install kinto=={VERSION}"
            ) from None
    return str(program)


def _get(key: str) -> Request:
    return Request("GET", _path(key))


def _put(key: str, value: str) -> Request:
    return Request("PUT", _path(key), f'{{"data":{value}}}')


def _path(key: str) -> str:
    return f"{_RECORDS}/key{int(key.removeprefix('key')) % _KEYS}"


def _shown(_: str) -> str:
    return "Ada Lovelace"  # Kinto adds fields to the value and orders them
