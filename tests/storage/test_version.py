"""Test that versions are unique."""

import re
import subprocess
import sys

import pytest

from workertown_kv.storage.version import new_version

_FORKED = """
import os
from workertown_kv.storage.version import new_version
child = os.fork()
if child:
    os.waitpid(child, 0)
print(new_version()[13:], flush=True)
"""


def test_versions_have_one_form_and_differ() -> None:
    versions = [new_version() for _ in range(1000)]
    assert len({version[13:] for version in versions}) == 1000
    assert all(re.fullmatch("[0-9a-f]{25}", version) for version in versions)
    assert [version[:13] for version in versions] == sorted(version[:13] for version in versions)


@pytest.mark.process
def test_a_forked_process_makes_other_versions() -> None:
    run = subprocess.run([sys.executable, "-c", _FORKED], capture_output=True, check=True)
    of_child, of_parent = run.stdout.split()
    assert of_child != of_parent
