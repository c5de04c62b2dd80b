"""nginx with static files: about the least that an HTTP server can do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from workertown_kv.testing.served import free_port

from ..data import Data
from ..processes import running
from ..programs import find
from ..server import Request, Server

NAME: Final = "nginx, static files"
ABOUT: Final = "nginx with 1 worker, `sendfile on` and no access log, a file for each key"

# `user` only matters when root runs this: no other user may enter the folder. The other paths keep
# nginx out of /var, and keepalive_requests lets it keep connections as the others do.
_CONFIGURATION: Final = """
daemon off;
user root;
worker_processes 1;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/json;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        root files;
    }}
}}
"""


@contextmanager
def nginx(folder: Path, data: Data) -> Iterator[Server]:
    """Start nginx in front of files."""
    port = free_port()
    files = folder / "files"
    files.mkdir()
    for number in range(data.keys):
        (files / data.key(number)).write_text(data.value)
    (folder / "nginx.conf").write_text(_CONFIGURATION.format(port=port))
    command = [find("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with running(command, port, folder) as pid:
        yield Server(name=NAME, port=port, pids=(pid,), get=lambda key: Request("GET", f"/{key}"))
