"""nginx in front of a server, compressing what it answers."""

import socket
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from workertown_kv.testing.served import free_port

START_SECONDS: Final = 30

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
    gzip on;
    gzip_types application/json application/octet-stream;
    gzip_proxied any;
    gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {behind};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


class RunningNginx:
    """A context manager: it starts and waits until it listens."""

    def __init__(self, program: str, behind: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._program = program
        self._port = port
        self._folder = TemporaryDirectory()
        self._config = Path(self._folder.name) / "nginx.conf"
        self._config.write_text(_CONFIG.format(folder=self._folder.name, port=port, behind=behind))
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
