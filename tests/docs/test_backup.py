"""Test the backup that the docs describe, while clients write as fast as they can."""

import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docs.pages import ROOT, blocks, commands

from workertown_kv.testing import ServedStore

PAGE = ROOT / "docs" / "how-to" / "back-up-and-leave.md"


def test_a_backup_ends_and_is_whole_while_others_write(
    tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    sqlite3 = require_program("sqlite3", "sqlite3")
    console = [one for one in blocks(PAGE) if one.language == "console"]
    (block,) = [one for one in console if "VACUUM INTO" in one.text]
    making = "\n".join(one.text for one in commands(block) if "PRAGMA" not in one.text)
    acknowledged = [0] * 4
    busy, enough = threading.Event(), threading.Event()
    with ServedStore(tmp_path / "kv.sqlite") as server:

        def keep_writing(writer: int) -> None:
            with server.client() as client:
                while not enough.is_set():
                    key, value = f"{writer}/{acknowledged[writer]}", "x" * 20_000
                    answer = client.put(f"/v1/kv/{key}", json={"value": value})
                    assert answer.status_code == 200
                    acknowledged[writer] += 1
                    if sum(acknowledged) > 200:
                        busy.set()

        with ThreadPoolExecutor(len(acknowledged)) as pool:
            writers = [pool.submit(keep_writing, i) for i in range(len(acknowledged))]
            try:
                assert busy.wait(timeout=60)
                before = list(acknowledged)
                subprocess.run(["bash", "-ec", making], cwd=tmp_path, check=True, timeout=60)
                after = list(acknowledged)
            finally:
                enough.set()
            for one in writers:
                one.result()
    assert sum(after) > sum(before)
    assert not (tmp_path / "backup.part").exists()
    for writer, (least, most) in enumerate(zip(before, after, strict=True)):
        count = f"SELECT count(*) FROM entry WHERE key LIKE '{writer}/%'"
        command = [sqlite3, str(tmp_path / "backup.sqlite"), f"PRAGMA integrity_check; {count}"]
        checked = subprocess.run(command, capture_output=True, text=True, check=True)
        sound, found = checked.stdout.split()
        assert sound == "ok"
        assert least <= int(found) <= most + 1
