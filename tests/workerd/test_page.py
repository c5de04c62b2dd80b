"""What the page on `env.KV` shows can be done."""

from pathlib import Path

from docs.session import failures

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "env-kv-in-workerd.md"


def test_every_example_does_what_the_page_says(modules: Path, tmp_path: Path) -> None:
    # There `npx` finds what the page has the reader install.
    (tmp_path / "node_modules").symlink_to(modules)
    wrong = failures(PAGE, tmp_path)
    assert not wrong, "\n\n".join(wrong)
