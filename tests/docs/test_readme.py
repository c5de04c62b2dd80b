"""The README can be followed, word for word."""

import re
from pathlib import Path

from docs.pages import ROOT
from docs.session import failures

README = ROOT / "README.md"


def test_every_example_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    wrong = failures(README, tmp_path)
    assert not wrong, "\n\n".join(wrong)


def test_the_readme_needs_two_commands_to_set_up_and_both_exist() -> None:
    commands = set(re.findall(r"^(?:\w+=\w+ )?make (\w+)", README.read_text(), re.MULTILINE))
    assert commands == {"serve", "check"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{command}:" in makefile for command in commands)
