"""The built book: chapters are there, no link is broken, nothing loads from elsewhere, figures have alt text.

Tests the book that was built last (build/html).
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
HTML = (ROOT / "build" / "html").resolve()
pytestmark = pytest.mark.skipif(
    not (HTML / "index.html").exists(), reason=f"no book in {HTML}: make book SCALE=smoke builds one"
)
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
         "embed": "src", "object": "data", "image": "href", "use": "href"}  # fmt: skip


class Page(HTMLParser):
    """What a page links to, loads, and calls its anchors and pictures."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.unnamed: list[str] = []
        self.stylesheet = ""
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        a = {name: value or "" for name, value in attributes}
        self.anchors |= {a[name] for name in ("id", "name") if name in a and tag != "meta"}
        if tag == "a" and "href" in a:
            self.links.append(a["href"])
        if tag == "link" and a.get("rel") not in ("canonical", "author", "license"):
            self.loads.append(a.get("href", ""))
        if tag in LOADS:
            self.loads.append(a.get(LOADS[tag]) or a.get("xlink:href", ""))
        self.loads += [part.split()[0] for part in a.get("srcset", "").split(",") if part.strip()]
        self.stylesheet += a.get("style", "")
        if tag == "img" and not a.get("alt", "").strip():
            self.unnamed.append(f"<img src={a.get('src', '')[:60]!r}>")
        if tag == "svg" and "svg" not in self.open and a.get("aria-hidden") != "true":
            if a.get("role") != "img" or not (a.get("aria-label") or a.get("aria-labelledby")):
                self.unnamed.append(self.get_starttag_text()[:120])
        if tag in ("svg", "style"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            self.open.remove(tag)

    def handle_data(self, data):
        if "style" in self.open:
            self.stylesheet += data


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(HTML.rglob("*.html")) if "_static" not in path.parts}


def chapters() -> list[str]:
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


def is_external(address: str) -> bool:
    return address.startswith("//") or urlsplit(address).scheme in ("http", "https", "ftp")


@pytest.mark.parametrize("chapter", chapters())
def test_chapter_is_there(chapter, pages):
    page = pages.get(HTML / f"{chapter}.html")
    assert page is not None, f"{chapter} was not built"
    assert "<h1>" in page.path.read_text(encoding="utf-8")


def test_every_notebook_is_a_chapter():
    assert {f"notebooks/{p.stem}" for p in (ROOT / "notebooks").glob("*.py")} <= set(chapters())


def test_no_broken_link(pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if is_external(link) or parts.scheme in ("data", "mailto", "javascript"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.exists():
                broken.append(f"{path.relative_to(HTML)}: {link}")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                broken.append(f"{path.relative_to(HTML)}: {link} (no such anchor)")
    assert not broken, "\n".join(broken)


def test_nothing_is_loaded_from_elsewhere(pages):
    loads = [f"{p.relative_to(HTML)}: {a}" for p, page in pages.items() for a in page.loads if is_external(a)]
    sheets = {p: page.stylesheet for p, page in pages.items()}
    sheets |= {p: p.read_text(encoding="utf-8") for p in HTML.rglob("*.css")}
    remote = re.compile(r"""(?:url\(|@import)\s*['"]?\s*(?:https?:)?//[^'")\s]+""")
    loads += [f"{p.relative_to(HTML)}: {found}" for p, css in sheets.items() for found in remote.findall(css)]
    assert not loads, "\n".join(loads)


def test_scripts_of_the_pages_name_no_other_host(pages):
    inline = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.S)
    found = [
        f"{path.relative_to(HTML)}: {address}"
        for path in pages
        for script in inline.findall(path.read_text(encoding="utf-8"))
        for address in re.findall(r"https?://[^\s\"']+", script)
    ]
    assert not found, "\n".join(found)


def test_math_is_served_from_the_book(pages):
    assert list((HTML / "_static" / "mathjax").glob("tex-chtml.js"))
    assert any("_static/mathjax/" in load for page in pages.values() for load in page.loads)


def test_pictures_have_alt_text(pages):
    unnamed = [f"{p.relative_to(HTML)}: {what}" for p, page in pages.items() for what in page.unnamed]
    assert not unnamed, "\n".join(unnamed)


def test_notebook_pages_show_no_error_and_no_noise():
    executed = sorted((HTML.parents[1] / "source" / "notebooks").glob("*.ipynb"))
    assert executed
    noise = []
    for path in executed:
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            for output in cell.get("outputs", []):
                text = output.get("text", "")
                is_bad = output.output_type == "error" or output.get("name") == "stderr"
                if is_bad or "\r" in text or "\x1b[" in text:
                    noise.append(f"{path.name}, cell {number}: {output.get('ename') or text[:200]}")
                if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                    noise.append(f"{path.name}, cell {number}: a widget; it needs the network")
    assert not noise, "\n".join(noise)


def test_no_traceback_in_the_pages(pages):
    assert not [p for p in pages if "Traceback (most recent call last)" in p.read_text(encoding="utf-8")]
