"""Test that `workertown-kv copy` moves everything into etcd, and out of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from servers.etcd import RunningMember
from servers.installed import Find

Invoke = Callable[..., Result]

pytestmark = pytest.mark.deep


def exported(invoke: Invoke, store: str) -> list[str]:
    """Return the entries of a store as an export has them."""
    result = invoke("export", "-", "--store", store)
    assert result.exit_code == 0, result.stderr
    return sorted(line for line in result.stdout.splitlines() if line.startswith('{"key"'))


def test_a_copy_into_etcd_and_back_has_everything(
    invoke: Invoke, require_program: Find, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(bytes(range(256)))
    for words in (
        ("set", "theme", "dark", "--metadata", '{"by":"ada"}'),
        ("set", "session/7", "1", "--ttl", "100000"),
        ("set", "é\n", "2"),
        ("set", "photo", "--file", "photo.png", "--bytes"),
        ("namespace", "create", "photos", "--database", "kv.sqlite"),
        ("set", "p", "5", "--namespace", "photos"),
    ):
        result = invoke(*words)
        assert result.exit_code == 0, result.stderr
    with RunningMember(require_program("etcd", "etcd-server"), tmp_path) as member:
        assert "Copied 5 entries" in invoke("copy", "kv.sqlite", member.url).stderr
        assert exported(invoke, member.url) == exported(invoke, "kv.sqlite")
        assert "Copied 5 entries" in invoke("copy", member.url, "back.sqlite").stderr
        assert exported(invoke, "back.sqlite") == exported(invoke, "kv.sqlite")
        position = invoke("copy", member.url, "back.sqlite").stdout.strip()
        assert invoke("delete", "theme", "--store", member.url).exit_code == 0
        since = invoke("copy", member.url, "back.sqlite", "--since", position)
        assert "deleted 1 in" in since.stderr
        (tmp_path / "large").write_bytes(b"x" * 2_000_000)
        assert invoke("set", "large", "--file", "large", "--bytes").exit_code == 0
        refused = invoke("copy", "kv.sqlite", member.url)
        assert refused.exit_code == 2, refused.stderr
        assert "etcd accepts at most 1,507,328" in refused.stderr
        assert "large" in refused.stderr
