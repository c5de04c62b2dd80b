"""Test the runtime `edge` in Pyodide, with no network but fetch."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edge.place import HERE, jspi, run
from servers.redis import RunningRedis
from servers.upstash import StandInUpstash


@pytest.mark.deep
def test_upstash_keeps_its_promises_where_there_is_only_fetch(
    node: str,
    modules: Path,
    packages: Path,
    tmp_path: Path,
    require_program: Callable[[str, str], str],
    subtests: pytest.Subtests,
) -> None:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path) as redis, StandInUpstash(redis.port) as upstash:
        folders = map(str, (modules, packages, HERE / "inside", tmp_path))
        command = (node, jspi(node), str(HERE / "fetch.mjs"), *folders, upstash.url)
        printed = run(*command, cwd=tmp_path)
    cases = list(ET.parse(tmp_path / "upstash.xml").iter("testcase"))
    assert "test_a_server_answers" in {case.get("name") for case in cases}, printed
    assert len(cases) > 50
    for case in cases:
        with subtests.test(case=case.get("name")):
            wrong = [*case.iter("failure"), *case.iter("error")]
            assert not wrong, wrong[0].text
