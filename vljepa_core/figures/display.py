"""The one way to display: HTML that reads in light and dark, on a phone, and to a screen reader."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections import Counter

from matplotlib.figure import Figure

from vljepa_core.figures.style import INK, styled

# Sent with every output, because an output must look right on a page that has no style sheet of ours.
# The rules with data-theme undo the book theme, which paints HTML outputs and images white in dark mode.
_CSS = """<style>
.vljepa{margin:1em 0;max-width:100%;color:inherit;line-height:1.4}
.vljepa svg{display:block;width:100%;height:auto;background:none}
.vljepa figcaption,.vljepa caption{font-size:.9em;text-align:left;caption-side:top;
padding:.3em 0;color:inherit}
.vljepa .scroll{overflow-x:auto;max-width:100%}
.vljepa table{border-collapse:collapse;margin:0;font-size:.9em;color:inherit;background:none;border:none}
.vljepa th,.vljepa td{text-align:left!important;vertical-align:top;padding:.4em .8em .4em 0;border:none;
border-bottom:1px solid rgba(127,127,127,.4);background:none;min-width:7em;max-width:22em;white-space:normal}
.vljepa caption span{position:sticky;left:0;display:inline-block;max-width:min(42em,calc(100vw - 3em))}
.vljepa thead th{vertical-align:bottom;border-bottom:2px solid rgba(127,127,127,.8)}
.vljepa th{font-weight:600}.vljepa small{display:block;font-size:.85em;font-weight:400;opacity:.85}
.vljepa .none{font-style:italic;opacity:.75}
.vljepa summary{cursor:pointer;font-size:.9em;margin:.6em 0}
.vljepa .grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:1em 1.2em}
.vljepa .grid figure{margin:0;min-width:0}
.vljepa .grid img{width:100%;max-width:256px;margin:0;border-radius:4px}
.vljepa dl{margin:.4em 0 0;font-size:.9em;display:block}
.vljepa dl dt,.vljepa dl dd{float:none;clear:both;width:auto;display:block;padding:0}
.vljepa dl dt{font-size:.85em;font-weight:400;opacity:.8;margin:0}
.vljepa dl dd{margin:0 0 .35em;overflow-wrap:anywhere}
html[data-theme=dark] .bd-content div.cell_output .text_html:has(.vljepa){background:none;
color:inherit;padding:0}
html[data-theme=dark] .bd-content div.cell_output .vljepa img{background:none;padding:0;filter:none}
</style>"""

_seen: Counter[str] = Counter()  # how often this process has shown a picture: ids differ when it is shown twice


class Display:
    """HTML for a notebook or a page, with plain text for everything that can't show it.

    Attributes:
        html: a self-contained fragment.
        alt: what it shows, in words.
    """

    def __init__(self, body: str, alt: str) -> None:
        self.html = _CSS + body
        self.alt = alt

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.alt


def escape(text: object) -> str:
    """Text for HTML, attributes included; control characters and lone surrogates become U+FFFD."""
    return html.escape(printable(text), quote=True)


def printable(text: object) -> str:
    """Text without control characters (a terminal would obey them) and lone surrogates: they become U+FFFD."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", str(text))


def required_alt(alt: str) -> str:
    """``alt`` on one line. ValueError if it is empty."""
    alt = " ".join(alt.split())
    if not alt:
        raise ValueError("empty alt text: say in words what the figure shows, with its numbers")
    return alt


def unique_id(content: str) -> str:
    """An id that depends on the content only, and on how often that content was shown before."""
    digest = hashlib.sha256(content.encode()).hexdigest()[:10]
    _seen[digest] += 1
    return f"v{digest}" if _seen[digest] == 1 else f"v{digest}-{_seen[digest]}"


@styled
def to_svg(fig: Figure, alt: str, min_width: int = 0) -> str:
    """The figure as an ``<svg>`` element: text as outlines, ``currentColor`` for ink, ids of its own."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    fig.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r"\n\s*", "\n", svg)
    width = float(re.search(r'width="([\d.]+)pt"', svg).group(1)) * 4 / 3  # points to CSS pixels
    prefix = unique_id(svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    svg = svg.replace("url(#", f"url(#{prefix}-")
    view_box = re.search(r'viewBox="[^"]*"', svg).group(0)
    name = escape(alt)
    title = escape(re.split(r"(?<=[.:;])\s", alt, maxsplit=1)[0].rstrip(".:;"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view_box} '
        f'role="img" aria-label="{name}" style="max-width:{width:.0f}px;min-width:{min_width}px">'
        f"<title>{title}</title>"
    )
    return head + svg[svg.index(">") + 1 :].strip()


def show(fig: Figure, alt: str, caption: str | None = None, min_width: int = 0) -> Display:
    """A figure as inline SVG that takes the page's text colour and fits its width.

    Args:
        fig: a matplotlib figure, made inside a function that is ``styled``.
        alt: what the figure shows, in words and with its numbers.
        caption: a line under the figure.
        min_width: CSS pixels below which the figure scrolls sideways instead of shrinking further.

    Raises:
        ValueError: ``alt`` is empty.
    """
    alt = required_alt(alt)
    line = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    svg = to_svg(fig, alt, min_width)
    return Display(f'<figure class="vljepa"><div class="scroll">{svg}</div>{line}</figure>', alt)
