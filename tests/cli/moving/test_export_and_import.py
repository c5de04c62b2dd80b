"""Test `workertown-kv export` and `workertown-kv import`."""

import gzip
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workertown_kv.cli import main
from workertown_kv.cli.moving import resume
from workertown_kv.transfer import writing

Invoke = Callable[..., Result]

THEME = '{"workertown_kv_export": 1, "at": 1}\n{"key": "theme", "value": "dark"}\n'


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database with entries of two namespaces."""
    file = tmp_path_factory.mktemp("example") / "kv.sqlite"
    odd = ("odd\nkey", "[1,\n 2]", "--expires-at", "4102444800.25")
    others = dict.fromkeys(name for name in os.environ if name.startswith("KV_"))
    runner = CliRunner(env={**others, "KV_DB": str(file)})
    for arguments, given in (
        (("migrate",), None),
        (("namespace", "create", "photos"), None),
        (("set", "theme", "dark"), None),
        (("set", *odd), None),
        (("set", "p", "5", "--namespace", "photos"), None),
        (("set", "bytes", "-", "--metadata", '{"a": 1}'), b"\0\xff"),
    ):
        ended = runner.invoke(main, arguments, input=given)
        assert ended.exit_code == 0, ended.output
    return file


@pytest.fixture
def filled(invoke: Invoke, example: Path, tmp_path: Path) -> Path:
    """Return the folder of the commands, with the example as its `kv.sqlite`."""
    shutil.copyfile(example, tmp_path / "kv.sqlite")
    return tmp_path


def lines_of(file: Path) -> list[str]:
    """Return the lines with entries."""
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt") as text:
        return [line for line in text if line.startswith('{"key"')]


@pytest.mark.parametrize("name", ["x.ndjson", "x.ndjson.gz", "x.ndjson.zst"])
def test_an_import_of_an_export_makes_the_same_store(
    invoke: Invoke, filled: Path, name: str
) -> None:
    exported = invoke("export", name)
    assert (exported.exit_code, exported.stdout) == (0, "")
    assert re.fullmatch(
        rf"Exported 4 entries of 2 namespaces to {name} in \d+\.\d s\n", exported.stderr
    )
    imported = invoke("import", name, "--store", "other.sqlite")
    assert imported.exit_code == 0
    assert "Imported 4 entries in" in imported.stderr
    invoke("export", "first.ndjson")
    invoke("export", "second.ndjson", "--store", "other.sqlite")
    assert lines_of(filled / "first.ndjson") == lines_of(filled / "second.ndjson")
    assert len(lines_of(filled / "first.ndjson")) == 4
    assert not list(filled.glob("*.part"))
    assert not list(filled.glob(".*.resume"))


def test_an_export_goes_through_a_pipe(invoke: Invoke, filled: Path) -> None:
    exported = invoke("export", "-", "--namespace", "photos")
    assert exported.stdout.splitlines()[2] == '{"key": "p", "value": 5}'
    assert "Exported 1 entry of 1 namespace in" in exported.stderr
    imported = invoke("import", "-", "--namespace", "default", input=exported.stdout)
    assert imported.exit_code == 0
    assert invoke("get", "p").stdout == "5"


def test_an_export_of_a_kill_begins_again_and_another_export_is_not_disturbed(
    invoke: Invoke, filled: Path
) -> None:
    part = filled / "x.ndjson.part"
    left = "what a killed export has left " * 1000
    part.write_text(left)
    with part.open("ab") as other:
        import fcntl

        fcntl.flock(other, fcntl.LOCK_EX)
        refused = invoke("export", "x.ndjson")
        assert refused.exit_code == 1
        assert refused.stderr == (
            "Error: Another process is writing x.ndjson.part; expected another file\n"
        )
        assert part.read_text() == left
    assert invoke("export", "x.ndjson").exit_code == 0
    assert len(lines_of(filled / "x.ndjson")) == 4
    assert not part.exists()


def test_a_full_disk_ends_an_export_with_one_line(invoke: Invoke, filled: Path) -> None:
    ended = invoke("export", "/dev/full")
    assert ended.exit_code == 1
    assert ended.stderr == "Error: Cannot write /dev/full: No space left on device\n"


def test_a_folder_that_does_not_exist_ends_an_export_with_one_line(
    invoke: Invoke, filled: Path
) -> None:
    ended = invoke("export", "missing/x.ndjson")
    assert ended.exit_code == 1
    assert ended.stderr == "Error: Cannot write missing/x.ndjson.part: There is no folder missing\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (THEME, "The export is cut off: it has 71 bytes, and its last line is not the end"),
        (THEME + '{"end": true, "count": 1, "sha256": "ab"}\n', "The export was changed or damag"),
        ("", "The export is cut off: it has 0 bytes"),
    ],
)
def test_a_file_that_is_not_whole_writes_nothing(
    invoke: Invoke, filled: Path, text: str, message: str
) -> None:
    (filled / "bad.ndjson").write_text(text)
    ended = invoke("import", "bad.ndjson", "--store", "new.sqlite")
    assert ended.exit_code == 1
    assert ended.stderr.startswith(f"Error: bad.ndjson: {message}")
    assert ended.stderr.endswith(". Nothing was written\n")
    assert ended.stderr.count("\n") == 1
    assert not (filled / "new.sqlite").exists()


def test_a_compressed_file_that_is_cut_off_writes_nothing(invoke: Invoke, filled: Path) -> None:
    invoke("export", "x.ndjson.gz")
    whole = (filled / "x.ndjson.gz").read_bytes()
    # The compression shows in the file, whatever its name is.
    (filled / "bad.ndjson").write_bytes(whole[:-9])
    ended = invoke("import", "bad.ndjson", "--store", "new.sqlite")
    assert ended.exit_code == 1
    assert ended.stderr == "Error: bad.ndjson: The gzip data is cut off. Nothing was written\n"


def test_from_a_pipe_the_error_names_the_last_key_that_was_written(
    invoke: Invoke, filled: Path
) -> None:
    for more, message in (
        ("", "The export is cut off after line 2 (byte 71)"),
        ("not JSON\n", "Line 3 (from byte 71): expected an entry"),
    ):
        ended = invoke("import", "-", "--store", "new.sqlite", input=THEME + more)
        assert ended.exit_code == 1
        assert f"Error: The standard input: {message}" in ended.stderr
        assert ended.stderr.endswith(
            "Before that, the command wrote or left out 1 entry, up to the key 'theme'\n"
        )
        assert invoke("get", "theme", "--store", "new.sqlite").stdout == '"dark"'


@pytest.fixture
def killed(invoke: Invoke, filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kill an import of `x.ndjson` into `new.sqlite`, and return the folder."""
    invoke("export", "x.ndjson")
    begin = writing.Writer._write_batch
    batches = 0

    async def write(self: writing.Writer, writes: object) -> object:
        nonlocal batches
        batches += 1
        if batches == 3:
            raise KeyboardInterrupt
        return await begin(self, writes)  # type: ignore[arg-type]

    monkeypatch.setattr(resume, "_SECONDS", 0)
    monkeypatch.setattr(writing, "BATCH_ENTRIES", 1)
    monkeypatch.setattr(writing, "_UNDER_WAY", 1)
    with monkeypatch.context() as patch:
        patch.setattr(writing.Writer, "_write_batch", write)
        assert invoke("import", "x.ndjson", "--store", "new.sqlite").exit_code == 130
    assert len(list(filled.glob(".x.ndjson.*.resume"))) == 1
    return filled


def test_an_import_continues_after_a_kill(invoke: Invoke, killed: Path) -> None:
    # What was written is not written again, and so does not change again.
    invoke("set", "bytes", "changed", "--store", "new.sqlite")
    continued = invoke("import", "x.ndjson", "--store", "new.sqlite")
    assert continued.exit_code == 0
    assert "Continuing after 2 entries" in continued.stderr
    assert "Imported 4 entries" in continued.stderr
    assert invoke("get", "theme", "--store", "new.sqlite").stdout == '"dark"'
    assert invoke("get", "bytes", "--store", "new.sqlite").stdout == '"changed"'
    assert not list(killed.glob(".x.ndjson.*.resume"))
    # Another file, or other flags, begin at the beginning.
    assert "Continuing" not in invoke("import", "x.ndjson", "--store", "new.sqlite").stderr


def test_an_import_that_fails_at_conflicts_continues_with_what_it_has_written(
    invoke: Invoke, filled: Path
) -> None:
    invoke("export", "x.ndjson")
    strict = ("import", "x.ndjson", "--store", "new.sqlite", "--on-conflict", "fail")
    assert invoke("set", "theme", "light", "--store", "new.sqlite").exit_code == 0
    failed = invoke(*strict)
    assert failed.exit_code == 1
    assert "'theme' exists already. Other entries were written" in failed.stderr
    # An entry that differs is a conflict also for the next run.
    assert "'theme' exists already" in invoke(*strict).stderr
    assert invoke("delete", "theme", "--store", "new.sqlite").exit_code == 0
    continued = invoke(*strict)
    assert continued.exit_code == 0
    assert "Imported 4 entries" in continued.stderr
    assert not list(filled.glob(".*.resume"))
    invoke("export", "y.ndjson", "--store", "new.sqlite")
    assert lines_of(filled / "y.ndjson") == lines_of(filled / "x.ndjson")
    # A run that has written nothing leaves nothing to continue: every key is a conflict.
    for _ in range(2):
        assert "exists already. Nothing was written" in invoke(*strict).stderr


def test_a_strict_import_continues_after_a_kill_before_it_knew_what_it_has_written(
    invoke: Invoke, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("export", "x.ndjson")
    strict = ("import", "x.ndjson", "--store", "new.sqlite", "--on-conflict", "fail")
    begin = writing.Writer._write_batch

    async def write(self: writing.Writer, writes: object) -> object:
        await begin(self, writes)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing.Writer, "_write_batch", write)
        assert invoke(*strict).exit_code == 130
    continued = invoke(*strict)
    assert continued.exit_code == 0, continued.stderr
    assert "Imported 4 entries" in continued.stderr


@pytest.mark.deep
def test_a_strict_import_continues_after_kill_9(invoke: Invoke, tmp_path: Path) -> None:
    entries = 100_000
    rows = "".join(f"{number},{number * 7}\n" for number in range(entries))
    (tmp_path / "many.csv").write_text(f"key,value\n{rows}")
    for attempt in range(5):  # on a busy machine, an import may end before it is killed
        strict = ("import", "many.csv", "--store", f"{attempt}.sqlite", "--on-conflict", "fail")
        command = [sys.executable, "-m", "workertown_kv", *strict]
        running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        while running.poll() is None and not written_in(tmp_path / f"{attempt}.sqlite"):
            time.sleep(0.001)
        running.kill()
        if running.wait(60) == -signal.SIGKILL:
            break
    else:
        pytest.fail("No import was killed")
    assert 0 < written_in(tmp_path / f"{attempt}.sqlite") < entries
    continued = invoke(*strict)
    assert continued.exit_code == 0, continued.stderr
    assert written_in(tmp_path / f"{attempt}.sqlite") == entries


def written_in(file: Path) -> int:
    """Return how many entries a file has, 0 also if it is none yet."""
    try:
        db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM entry").fetchone()[0])
        finally:
            db.close()
    except sqlite3.OperationalError:
        return 0


def test_an_import_into_a_new_store_with_the_same_name_begins_again(
    invoke: Invoke, killed: Path
) -> None:
    for file in killed.glob("new.sqlite*"):
        file.unlink()
    assert "Continuing" not in invoke("import", "x.ndjson", "--store", "new.sqlite").stderr
    invoke("export", "y.ndjson", "--store", "new.sqlite")
    assert lines_of(killed / "y.ndjson") == lines_of(killed / "x.ndjson")


def test_a_key_that_exists_is_overwritten_skipped_or_an_error(invoke: Invoke, filled: Path) -> None:
    invoke("export", "x.ndjson")
    invoke("set", "theme", "light")
    failed = invoke("import", "x.ndjson", "--on-conflict", "fail")
    assert failed.exit_code == 1
    assert "exists already. Nothing was written" in failed.stderr
    skipped = invoke("import", "x.ndjson", "--on-conflict", "skip")
    assert "Imported 0 entries, skipped 4 that exist already in" in skipped.stderr
    dry = invoke("import", "x.ndjson", "--dry-run")
    assert "Would import 4 entries in" in dry.stderr
    assert invoke("get", "theme").stdout == '"light"'
    invoke("import", "x.ndjson")
    assert invoke("get", "theme").stdout == '"dark"'


def test_a_dry_run_makes_no_database(invoke: Invoke, filled: Path) -> None:
    invoke("export", "x.ndjson")
    ended = invoke("import", "x.ndjson", "--dry-run", "--store", "new.sqlite")
    assert ended.exit_code == 1
    assert "There is no database" in ended.stderr
    assert not (filled / "new.sqlite").exists()


def test_the_name_of_a_file_says_its_form(invoke: Invoke, filled: Path) -> None:
    refused = invoke("export", "x.json")
    assert refused.exit_code == 1
    assert "has no namespaces, and there are 2; expected --namespace" in refused.stderr
    assert invoke("export", "x.json.gz", "--namespace", "default").exit_code == 0
    pairs = json.loads(gzip.decompress((filled / "x.json.gz").read_bytes()))
    assert pairs[0] == {
        "key": "bytes",
        "value": "AP8=",
        "base64": True,
        "metadata": {"a": 1},
    }
    imported = invoke("import", "x.json.gz", "--store", "new.sqlite")
    assert "Imported 3 entries" in imported.stderr
    assert invoke("get", "odd\nkey", "--store", "new.sqlite").stdout == "[1,\n 2]"
    (filled / "people.csv").write_text("id,name\n7,Ada\n")
    assert invoke("import", "people.csv", "--key-column", "id").exit_code == 0
    assert invoke("get", "7").stdout == '{"name":"Ada"}'
    refused = invoke("import", "x.json.gz", "--key-column", "id")
    assert (refused.exit_code, "--key-column is only for CSV" in refused.stderr) == (2, True)
    wrong = invoke("import", "people.csv")
    assert wrong.exit_code == 1
    assert "people.csv: Line 1: there is no column 'key'" in wrong.stderr


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        ("csv", b"", "The file is empty; expected a row with the names of the columns"),
        ("csv", b"id,value\na,1\n", "Line 1: there is no column 'key'"),
        ("csv", b"key,value\na,1\nb,\xff\n", "Line 3: the file is not in UTF-8"),
        ("bulk", b'{"key": "a", "value": "1"}', ""),
        ("bulk", b'[{"key": "a"}]', ""),
        (
            "bulk",
            b'[{"key": "a", "value": "\xff"}]',
            "Pair 1 (from byte 1): the pair is not in UTF-8",
        ),
        ("bulk", b"", ""),
        ("lines", b"theme: dark\n", ""),
        ("lines", b"", ""),
        ("lines", b"\x1f\x8b", "The gzip data is cut off"),
    ],
)
def test_a_wrong_file_makes_no_database(
    invoke: Invoke, tmp_path: Path, form: str, data: bytes, message: str, *, is_stream: bool
) -> None:
    (tmp_path / "wrong").write_bytes(data)
    name, given = ("-", data) if is_stream else ("wrong", None)
    ended = invoke("import", name, "--format", form, input=given)
    assert ended.exit_code == 1
    assert f"Error: {'The standard input' if is_stream else 'wrong'}: {message}" in ended.stderr
    assert ended.stderr.endswith(". Nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong"]


def test_a_stream_that_is_longer_than_a_block_is_imported_whole(invoke: Invoke) -> None:
    rows = "".join(f"{number:06},{'x' * 200}\n" for number in range(3000))
    ended = invoke("import", "-", "--format", "csv", input=f"key,value\n{rows}")
    assert "Imported 3,000 entries" in ended.stderr
    assert invoke("get", "002999", "--text").stdout == "x" * 200


def test_a_file_that_cannot_be_read_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("import", "missing.ndjson")
    assert ended.exit_code == 1
    assert ended.stderr == "Error: Cannot read missing.ndjson: No such file or directory\n"


def test_an_export_replaces_no_database(invoke: Invoke, filled: Path) -> None:
    ended = invoke("export", "kv.sqlite")
    assert ended.exit_code == 1
    assert ended.stderr.startswith("Error: kv.sqlite is an SQLite database")
    assert invoke("get", "theme").stdout == '"dark"'


def test_an_export_is_not_named_for_csv(invoke: Invoke, filled: Path) -> None:
    ended = invoke("export", "x.csv")
    assert ended.exit_code == 2
    assert "An export cannot be CSV; expected FILE.ndjson, FILE.json" in ended.stderr
    assert invoke("export", "x.csv", "--format", "lines").exit_code == 0


def test_an_export_is_only_named_for_compressions_that_there_are(
    invoke: Invoke, filled: Path
) -> None:
    ended = invoke("export", "x.ndjson.bz2")
    assert ended.exit_code == 2
    assert "expected FILE.gz or FILE.zst" in ended.stderr
    assert not (filled / "x.ndjson.bz2").exists()


def test_a_byte_order_mark_before_pairs_is_no_error(invoke: Invoke, filled: Path) -> None:
    for text, count in (('[{"key": "a", "value": "b"}]', "1 entry"), ("[]", "0 entries")):
        for mark in ("", "\ufeff"):
            (filled / "pairs.json").write_text(mark + text)
            assert f"Imported {count}" in invoke("import", "pairs.json").stderr


def test_another_file_is_no_export(invoke: Invoke, filled: Path) -> None:
    (filled / "notes.txt").write_text("theme: dark\n")
    for name, more in (("notes.txt", ""), ("kv.sqlite", "; expected `workertown-kv copy`")):
        ended = invoke("import", name, "--store", "new.sqlite")
        assert ended.exit_code == 1
        assert ended.stderr == (
            f'Error: {name}: This is no export, which begins with {{"workertown_kv_export"{more}. '
            "Nothing was written\n"
        )


def test_json_in_a_cell_that_is_nested_too_deep_is_text(invoke: Invoke, tmp_path: Path) -> None:
    deepest, deeper = ("[" * depth + "]" * depth for depth in (512, 513))
    (tmp_path / "cells.csv").write_text(f"key,value\na,{deepest}\nb,{deeper}\n")
    assert invoke("import", "cells.csv").exit_code == 0
    assert invoke("get", "a").stdout == deepest
    assert invoke("get", "b").stdout == f'"{deeper}"'
    assert invoke("export", "all.ndjson").exit_code == 0
    assert invoke("import", "all.ndjson", "--store", "again.sqlite").exit_code == 0


def test_ctrl_c_ends_the_check_of_a_file(
    invoke: Invoke,
    filled: Path,
    interrupt: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check(_: object) -> None:
        interrupt()
        checked.append("after")

    checked: list[str] = []
    assert invoke("export", "all.ndjson").exit_code == 0
    monkeypatch.setattr("workertown_kv.cli.moving.source_file.check_whole", check)
    assert invoke("import", "all.ndjson", "--store", "again.sqlite").exit_code == 130
    assert checked == []
    assert not (filled / "again.sqlite").exists()
