"""Builds the docs site: `python -m docs.site`, or `make site`.

The pages lead to each other, and to files of the repository, by paths that work in the repository.
Here each page gets a path on the site, and its links change with it. Files that are no pages, but
that a page links to, come along: pictures as they are, all else as text.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from .pages import PAGES, ROOT, links, name_of

SITE: Final = ROOT / ".site"
"""The folder of everything that is made here; `html` inside it is the site."""

_MAP: Final = ROOT / "docs" / "index.md"
_PATHS: Final = {"README.md": "index.md", "docs/index.md": "all-pages.md"}

_AS_THEY_ARE: Final = {".css", ".png", ".svg"}

_CODE_OR_LINK: Final = re.compile(
    r"^```.*?^```$|`[^`\n]*`|(?P<before>\[[^\]]*\]\()(?P<target>[^)\s]+)\)",
    re.DOTALL | re.MULTILINE,
)
_DIAGRAM: Final = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SECTION_OR_ENTRY: Final = re.compile(r"^## (.+)$|^- \[([^\]]+)\]\(([^)#]+)\)", re.MULTILINE)


def main() -> None:
    """Write the pages as the site has them, and build the site. A warning is an error."""
    shutil.rmtree(SITE, ignore_errors=True)
    for path, content in staged().items():
        page = path.endswith(".md")
        write(SITE / "pages" / path, drawn(path, content.decode()).encode() if page else content)
    # JSON is YAML.
    config = {"INHERIT": "../docs/mkdocs.yml", "docs_dir": "pages", "site_dir": "html"}
    write(SITE / "mkdocs.yml", json.dumps({**config, "nav": navigation()}).encode())
    program = Path(sys.executable).with_name("zensical")
    build = [str(program), "build", "--strict", "--config-file", str(SITE / "mkdocs.yml")]
    sys.exit(subprocess.run(build, check=False).returncode)  # noqa: S603  (a pinned program)


def staged() -> dict[str, bytes]:
    """Return the content of every page and file of the site, by its path there."""
    pages = {*PAGES, ROOT / "examples" / "README.md", *examples()}
    files = {ROOT / "docs" / "site.css", *(target for page in pages for target in linked(page))}
    return {path_of(file): content_of(file) for file in pages | files}


def linked(page: Path) -> Iterator[Path]:
    """Yield the files of the repository that a page links to."""
    for link in links(page):
        path = link.partition("#")[0]
        if path and "://" not in link:
            yield file_of(page, path)


def file_of(page: Path, path: str) -> Path:
    """Return the file that a link of a page leads to: of a folder, its README."""
    target = (page.parent / path).resolve(strict=True)
    return target / "README.md" if target.is_dir() else target


def path_of(file: Path) -> str:
    """Return the path of a page, or of another file of the repository, on the site."""
    name = name_of(file)
    if name in _PATHS:
        return _PATHS[name]
    if file.suffix == ".md":
        name = name.lower() if "/" not in name else name.removeprefix("docs/")
        return name.replace("README.md", "index.md")
    # With `.txt`, browsers show the file instead of saving it.
    return name.removeprefix("docs/") if file.suffix in _AS_THEY_ARE else f"files/{name}.txt"


def content_of(file: Path) -> bytes:
    """Return the content of a file as the site has it."""
    return moved(file, file.read_text()).encode() if file.suffix == ".md" else file.read_bytes()


def moved(page: Path, text: str) -> str:
    """Return the text of a page with its links as the site needs them."""

    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if target is None or "://" in target or target.startswith("#"):
            return match[0]
        path, hash_sign, anchor = target.partition("#")
        there = os.path.relpath(path_of(file_of(page, path)), Path(path_of(page)).parent)
        return f"{match['before']}{there}{hash_sign}{anchor})"

    return _CODE_OR_LINK.sub(link, text)


def navigation() -> Sequence[Mapping[str, object]]:
    """Return the navigation: the map of the pages, `docs/index.md`, after the home page."""
    sections: dict[str, list[Mapping[str, str]]] = {}
    for match in _SECTION_OR_ENTRY.finditer(_MAP.read_text()):
        section, title, link = match.groups()
        if section:
            sections[section] = []
        else:
            sections[[*sections][-1]].append({title: path_of(file_of(_MAP, link))})
    others = [path_of(page) for page in examples()]
    return [
        {"Home": [{"workertown-kv": "index.md"}, {"All pages": "all-pages.md"}]},
        *({section: entries} for section, entries in sections.items()),
        {"Examples": others},
    ]


def examples() -> list[Path]:
    """Return the pages of single examples, which are not on the map."""
    return sorted((ROOT / "examples").glob("*/README.md"))


def drawn(path: str, text: str) -> str:
    """Draw the diagrams of a page, for light and dark, and return the page with the pictures."""

    def pictures(match: re.Match[str]) -> str:
        import mmdr  # noqa: PLC0415  (only the environment of `make site` has it)

        name = f"{Path(path).stem}-{match.start()}"
        shown = []
        for scheme, theme in (("light", "default"), ("dark", "dark")):
            picture = mmdr.render(f'%%{{init: {{"theme": "{theme}"}}}}%%\n{match[1]}').svg()
            write(SITE / "pages" / Path(path).parent / f"{name}-{scheme}.svg", picture.encode())
            shown.append(f"![The diagram of this section]({name}-{scheme}.svg#only-{scheme})")
        return "\n".join(shown)

    return _DIAGRAM.sub(pictures, text)


def write(file: Path, content: bytes) -> None:
    """Write a file, and make its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


if __name__ == "__main__":
    main()
