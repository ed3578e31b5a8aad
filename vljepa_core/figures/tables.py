"""Tables and lists as a notebook displays them: HTML that takes the page's colours, and what it says as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vljepa_core.figures.display import Display, escape

NOT_REPORTED = '<span class="none">not reported</span>'
NOT_APPLICABLE = '<span class="none">does not apply</span>'
NOT_MEASURED = '<span class="none">not measured</span>'


def html_table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    folded: Sequence[Sequence[str]] = (),
    folded_as: str = "",
) -> Display:
    """A table which scrolls sideways on a phone. Cells are HTML; the first of a row is its heading.

    ``folded`` are further rows, under the same headings, which a page shows when ``folded_as`` is clicked.
    """
    name, label = escape(caption), escape(folded_as)
    further = f"<details><summary>{label}</summary>{_scrolling(label, head, folded)}</details>" if folded else ""
    return Display(
        f'<figure class="vljepa">{_scrolling(name, head, rows, f"<caption><span>{name}</span></caption>")}{further}'
        "</figure>",
        caption,
    )


def _scrolling(label: str, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    columns = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>" for row in rows
    )
    # Focusable, so that the keyboard can scroll it too.
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>{caption}'
        f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def bullets(lines: Iterable[str]) -> Display:
    """A list of sentences."""
    lines = list(lines)
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return Display(f'<div class="vljepa"><ul>{items}</ul></div>', " ".join(lines))


def a_line_each(records: Iterable[Any], cell: Callable[[Any], str]) -> str:
    """A cell's line for each record, such as the seeds of a run, in their order."""
    return "".join(f"<div>{cell(record)}</div>" for record in records)


def with_interval(found: Mapping[str, float], signed: bool = False) -> str:
    """A metric's value and its 95% interval to two decimals, on one line of a cell: "1.00 [0.50, 1.50]"."""
    value, low, high = (f"{found[key]:{'+' if signed else ''}.2f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]".replace(" ", "&nbsp;")
