"""Writes the figures and plots of a run into docs/performance.md and beside it."""

import re
from pathlib import Path
from typing import Final

from .report import figures, growth, heading, peers, ratios
from .results import Run, save
from .scenarios import is_over_engine

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"


def write_page(run: Run, page: Path = PAGE) -> None:
    """Replace each part of the page that stands between `<!-- NAME -->` and `<!-- /NAME -->`."""
    from .plots import draw  # noqa: PLC0415  (matplotlib takes long to import)

    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    save(run, folder / "results.json")
    plots = draw(run, folder)
    parts = {
        "run": heading(run),
        "peers": peers(run),
        "ratios": ratios(run),
        "growth": growth(run),
        "figures": figures([one for one in run.results if not is_over_engine(one.scenario)]),
        "engines": figures([one for one in run.results if is_over_engine(one.scenario)]),
        "plots": (f"![{title}]({folder.name}/{name})\n" for name, title in plots.items()),
    }
    text = page.read_text()
    for name, lines in parts.items():
        made = f"<!-- {name} -->\n\n" + "\n".join(lines).strip() + f"\n\n<!-- /{name} -->"
        old = re.findall(f"<!-- {name} -->.*?<!-- /{name} -->", text, re.DOTALL)
        if len(old) != 1:
            raise RuntimeError(f"{page} needs one part from <!-- {name} --> to <!-- /{name} -->")
        text = text.replace(old[0], made)
    page.write_text(text)
