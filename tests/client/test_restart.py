"""Test a client whose server is killed and comes back, and whose key permits little."""

import threading

import pytest

from workertown_kv import Client
from workertown_kv.client import Change, watching
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.testing import ServedStore

SECONDS = 60


class Watching:
    """Watches in a thread, and lets a test wait for a key."""

    def __init__(self, store: Client) -> None:
        self.seen: list[Change] = []
        self._found = threading.Condition()
        self._thread = threading.Thread(target=self._watch, args=[store], daemon=True)
        self._thread.start()

    def _watch(self, store: Client) -> None:
        for change in store.watch("a/", initial=True, values=True):
            with self._found:
                self.seen.append(change)
                self._found.notify_all()

    def wait_for(self, event: str, key: str = "") -> None:
        with self._found:
            assert self._found.wait_for(
                lambda: (event, key) in {(one.event, one.key) for one in self.seen}, SECONDS
            )


def test_a_watch_goes_on_after_the_server_was_killed(
    served: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LONGEST_PAUSE_SECONDS", 0.1)
    with Client(served.url, api_key="test-key") as store:
        store["a/1"] = 1
        watcher = Watching(store)
        watcher.wait_for("ready")
        store["a/2"] = 2
        watcher.wait_for("set", "a/2")
        served.kill()
        try:
            with pytest.raises(StorageUnavailable, match="cannot be reached"):
                store["a/3"] = 3
            with Client(served._env["KV_DB"]) as beside:
                beside["a/3"] = 3
                del beside["a/1"]
        finally:
            served.start()
        watcher.wait_for("delete", "a/1")
        store["a/4"] = 4
        watcher.wait_for("set", "a/4")
        assert [(one.event, one.key, one.value) for one in watcher.seen if one.event == "set"] == [
            ("set", f"a/{number}", number) for number in (1, 2, 3, 4)
        ]


def test_a_client_without_a_key_uses_the_variable(
    served: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KV_TOKEN", raising=False)
    with pytest.raises(StorageError, match="needs a token"):
        Client(served.url).get("a")
    monkeypatch.setenv("KV_TOKEN", "test-key")
    with Client(served.url) as store:
        store["a"] = 1
    monkeypatch.setenv("KV_TOKEN", "wrong")
    with Client(served.url, api_key="test-key") as store:
        assert store["a"] == 1
    with pytest.raises(StorageError, match="refuses the token; expected one of its API keys"):
        Client(served.url).get("a")


def test_a_client_needs_no_more_rights_than_its_operations(served: ServedStore) -> None:
    with Client(served.url, api_key="narrow-key") as store:
        store["narrow/1"] = 1
        changes = store.watch("narrow/", initial=True, values=True)
        assert [next(changes).event for _ in range(2)] == ["set", "ready"]
        assert [entry.key for entry in store.list()] == ["narrow/1"]
        with pytest.raises(StorageError, match="does not permit this") as refused:
            store.get("b")
        assert refused.value.kind == StorageFailure.REFUSED
