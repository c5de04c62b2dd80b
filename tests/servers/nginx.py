"""Run nginx in front of a server."""

import socket
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from workertown_kv.testing.served import free_port

START_SECONDS: Final = 60

_CONFIG: Final = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""

COMPRESSING: Final = """
    gzip on;
    gzip_types application/json application/octet-stream;
    gzip_proxied any;
    gzip_min_length 1;
    server {
        listen 80;
        location / {
            proxy_pass http://127.0.0.1:8787;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
"""


class RunningNginx:
    """Runs nginx. A context manager: it starts nginx, and waits until it listens.

    `server` is the block of the configuration, with `listen 80` and the server behind nginx at
    127.0.0.1:8787. Both become addresses that are free here.
    """

    def __init__(self, program: str, behind: str, server: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._program = program
        self._port = port
        self._folder = TemporaryDirectory()
        self._config = Path(self._folder.name) / "nginx.conf"
        server = server.replace("listen 80;", f"listen 127.0.0.1:{port};")
        server = server.replace("127.0.0.1:8787", behind)
        self._config.write_text(_CONFIG.format(folder=self._folder.name, server=server))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [self._program, "-p", self._folder.name, "-c", self._config, "-e", "stderr"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=30)
        self._folder.cleanup()
