"""Test which packages are needed to import this package and to answer."""

import stat
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import workertown_kv
from extras import install_command
from workertown_kv import options, storage
from workertown_kv.endpoints.pages import api_pages, console

ROOT = Path(__file__).parents[1]

_WITHOUT = """
import sys

ABSENT = {"apsw", "sqlite3", "httptools", "uvicorn", "uvloop", "click", "httpx2"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

import asyncio
from workertown_kv import kv
from workertown_kv.runtime import testing

server = kv(runtime=testing({"a": 1}), auth={"api_key": {"api_key": "k"}})
scope = {
    "type": "http", "method": "GET", "path": "/v1/kv/a", "query_string": b"",
    "headers": [(b"authorization", b"Bearer k")],
}
sent = []

async def send(message):
    sent.append(message)

asyncio.run(server(scope, None, send))
assert sent[0]["status"] == 200, sent
"""


def test_the_server_needs_no_driver_no_command_and_no_client() -> None:
    subprocess.run([sys.executable, "-c", _WITHOUT], check=True)


def test_importing_the_module_of_the_command_runs_nothing() -> None:
    program = "import workertown_kv.__main__; print('imported')"
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout == "imported\n"


@pytest.mark.parametrize("package", ["hypothesis", "pytest"])
def test_the_helpers_for_tests_say_what_they_need(package: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from workertown_kv import OptionsError\n"
        "try:\n    import workertown_kv.testing\n"
        "except OptionsError as error:\n    print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.startswith("workertown_kv.testing needs packages that are not installed: ")
    assert ran.stdout.endswith(f": {install_command('testing')}\n")


def test_tokens_without_their_library_say_what_to_install() -> None:
    program = (
        "import sys; sys.modules['joserfc'] = None\n"
        "from workertown_kv import OptionsError, kv\n"
        "from workertown_kv.runtime import testing\n"
        "try:\n    kv(runtime=testing(), auth={'jwt': {'secret': 's' * 32}})\n"
        "except OptionsError as error:\n    print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    needs = "auth.jwt needs packages that are not installed"
    assert ran.stdout == f"{needs}: {install_command('jwt')}\n"


def test_the_package_knows_its_version() -> None:
    assert workertown_kv.__version__ == version("workertown-kv")
    with pytest.raises(AttributeError, match="has no attribute 'version'"):
        workertown_kv.version  # type: ignore[attr-defined] # noqa: B018  (reading it raises)


@pytest.mark.parametrize("package", [workertown_kv, options, storage])
def test_a_package_has_all_names_that_it_lists(package: ModuleType) -> None:
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        package.missing  # noqa: B018  (reading it raises)


def test_the_modules_of_the_package_are_reachable_through_it() -> None:
    program = (
        "import workertown_kv as kv\n"
        "print(kv.errors.NotFound.status, kv.storage.__name__, kv.options.__name__)\n"
        "print(sorted(set(kv.__all__) - set(dir(kv))), kv.entry.Entry, kv.access.__name__)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.splitlines() == [
        "404 workertown_kv.storage workertown_kv.options",
        "[] <class 'workertown_kv.entry.Entry'> workertown_kv.access",
    ]


def test_the_wheel_has_its_types_and_the_files_of_the_pages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    packed = zipfile.ZipFile(wheel)
    assert "workertown_kv/py.typed" in packed.namelist()
    static = "workertown_kv/endpoints/pages/static"
    for place in (*console.FILES.values(), *api_pages.FILES.values()):
        file = packed.getinfo(f"{static}/{place}")
        assert not stat.S_ISLNK(file.external_attr >> 16), place
    client = packed.read(f"{static}/console/workertown-kv.js")
    assert client == (ROOT / "clients" / "js" / "workertown-kv.js").read_bytes()
