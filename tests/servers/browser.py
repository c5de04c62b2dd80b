"""Run a real browser, and open and close its tabs."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx2

SECONDS: Final = 120


class Browser:
    """Opens and closes the tabs of a real browser, by its interface for developers."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def open(self, url: str) -> str:
        opened = self._client.put(f"/json/new?{quote(url, safe='')}")
        tab: str = opened.json()["id"]
        return tab

    def close(self, tab: str) -> None:
        assert self._client.get(f"/json/close/{tab}").status_code == 200


@contextmanager
def running_browser(program: str, folder: Path) -> Iterator[Browser]:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    profile = [f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    process = subprocess.Popen(
        [program, *options, *profile],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = debugging_port(folder / "DevToolsActivePort")
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
            yield Browser(client)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def debugging_port(file: Path) -> int:
    for _ in range(SECONDS * 50):
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.02)
    raise AssertionError("The browser did not start")
