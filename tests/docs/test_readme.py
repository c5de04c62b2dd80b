"""Test that a reader can follow the README word for word."""

from pathlib import Path

from bench.results import load
from docs.pages import ROOT, blocks
from docs.session import API_KEY, failures

README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "performance" / "results.json"


def test_every_example_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    wrong = failures(README, tmp_path)
    assert not wrong, "\n\n".join(wrong)


def test_a_new_user_gets_a_server_with_two_commands_after_the_clone() -> None:
    setup = next(block for block in blocks(README) if "git clone" in block.text)
    clone, enter, serve = setup.text.splitlines()
    assert clone.split()[-1] == enter.removeprefix("cd ")
    assert serve == f"KV_API_KEY={API_KEY} make serve"
    assert "\nserve:" in (ROOT / "Makefile").read_text()


def test_its_figures_are_those_of_the_page_on_performance() -> None:
    found = {(one.scenario, one.load, one.subject): one.values for one in load(RESULTS).results}
    for kind, words in (("put", "such writes a second"), ("get", "reads")):
        speed = found[kind, kind.upper(), "workertown-kv"]["requests/s"]
        assert f"{speed:,.0f} {words}" in README.read_text()


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len(README.read_text().splitlines()) <= 130
