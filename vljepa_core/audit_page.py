"""An audit on paper: a table for the terminal, and one self-contained HTML page with figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from vljepa_core import probes
from vljepa_core.audit import CUT, MOST_SCORED, SMOOTHING, Audit
from vljepa_core.figures.answers import answer_bars, caption_coverage, recall_curves
from vljepa_core.figures.display import escape, printable
from vljepa_core.figures.tables import html_table
from vljepa_core.figures.units import counted, number, unit_of
from vljepa_core.metrics import Metric

ANSWERS = {
    "own": "these captions",
    "permuted": "these, of other images",
    "constant": "one constant caption",
    "chance": "human, of another image",
    "human": "human, held out",
}
_SCORES = ("cider", "bleu4", "overlap", "content_match")
_WHOSE = {"own": "these captions", "human": "humans'"}

# Light or dark as the reader's system is; everything inside takes the page's colours.
_STYLE = """
:root{color-scheme:light dark}
body{max-width:46rem;margin:0 auto;padding:1rem 1.2rem 3rem;font:16px/1.5 system-ui,sans-serif;
color:#1b1b1b;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
.verdict{border-left:4px solid #d55e00;padding:.2rem 0 .2rem 1rem}
@media (prefers-color-scheme:dark){body{color:#e6e6e6;background:#121212}}
"""


@dataclass(frozen=True)
class _Table:
    caption: str
    head: list[str]
    rows: list[list[str]]


def terminal(found: Audit, width: int = 100) -> str:
    """The audit as plain text."""
    parts = [_plain(table, width) for table in _tables(found)]
    parts.append(textwrap.fill(f"VERDICT: {_verdict(found)}", width))
    return "\n\n".join(parts)


def page(found: Audit, title: str) -> str:
    """The audit as one HTML document that loads nothing from elsewhere, in light and dark.

    Args:
        found: the audit.
        title: what was audited, such as the name of its file.
    """
    answers, variety, top, blind, *measured = (
        html_table(t.caption, t.head, [[escape(cell) for cell in row] for row in t.rows]).html for t in _tables(found)
    )
    named = {ANSWERS[name]: values for name, values in found.answers.items()}
    bars = answer_bars(named, _SCORES, ANSWERS["own"]).html
    coverage = caption_coverage({_WHOSE[name]: counts for name, counts in found.repeats.items()}).html
    sections = [
        ("Does the image matter to the captions?", bars + answers),
        ("Do the captions differ?", coverage + variety + top),
        ("What a blind model's loss would be", blind),
    ]
    if measured:
        sections.append(("Does the image matter to the likelihoods?", recall_curves(found.recall).html + measured[0]))
    verdict = f'<p class="verdict"><strong>{escape(found.verdict.label)}</strong>: {escape(found.verdict.reason)}</p>'
    sections.append(("Verdict", verdict))
    body = "\n".join(f"<section><h2>{escape(head)}</h2>\n{text}</section>" for head, text in sections)
    heading = f"Audit of {escape(title)}: {found.images:,} captions"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{heading}</h1>\n{body}\n</main></body></html>\n"
    )


def _tables(found: Audit) -> list[_Table]:
    n = found.answers["own"]["cider"].n
    drawn = f"a random {n:,} of {found.images:,} images" if n < found.images else f"{n:,} images"
    held = "all but the last human caption of each image" if "human" in found.answers else "all human captions"
    tables = [
        _Table(
            f"Scores on {drawn}, against {held}. [95% interval over images]",
            ["answer", *(unit_of(name).label for name in _SCORES)],
            [
                [
                    ANSWERS[answer] + (f": “{printable(found.constant)}”" if answer == "constant" else ""),
                    *(_value(name, values[name]) for name in _SCORES),
                ]
                for answer, values in found.answers.items()
            ],
        ),
        _Table(
            "How the captions differ from each other; one human caption per image beside them. [95% interval]",
            ["", *_WHOSE.values()],
            [
                [unit_of(name).label, *(_value(name, found.variety[who][name], found.images) for who in _WHOSE)]
                for name in found.variety["own"]
            ],
        ),
        _Table(
            "The most frequent captions.",
            ["caption", "images", "share"],
            [[printable(c) or "(empty)", f"{k:,}", number("distinct", k / found.images)] for c, k in found.top],
        ),
        _Table(
            "A model that sees no image and knows every training caption (without --train: every human caption here).",
            ["", ""],
            [
                ["to name one caption", f"{found.blind['bits per caption']:.2f} bits"],
                [f"loss, bytes cut at {CUT} ids", f"{found.blind['nats per byte']:.4f} nats per byte"],
                [f"the same, label smoothing {SMOOTHING}", f"{found.blind['smoothed']:.4f} nats per byte"],
                ["floor of that smoothing for any model", f"{found.blind['floor']:.4f} nats per byte"],
            ],
        ),
    ]
    if found.probes:
        chance = probes.chance(found.probes["image_r1"].n)
        n = found.probes["image_r1"].n
        tables.append(
            _Table(
                f"Log-likelihoods of {n:,} captions given {n:,} images (at most {MOST_SCORED:,}). [95% interval]",
                ["", "measured", "chance"],
                [
                    [_label(name), _value(name, metric), number(name, chance[name])]
                    for name, metric in found.probes.items()
                ],
            )
        )
    return tables


def _label(name: str) -> str:
    unit = unit_of(name)
    return f"{unit.label} ({unit.unit})" if unit.unit else unit.label


def _value(name: str, metric: Metric, n: int | None = None) -> str:
    text = number(name, metric.value) if n is None else counted(name, metric.value, n)
    return text if metric.low is None else f"{text}\n[{number(name, metric.low)}, {number(name, metric.high)}]"


def _verdict(found: Audit) -> str:
    return printable(f"{found.verdict.label}: {found.verdict.reason}")


def _plain(table: _Table, width: int) -> str:
    """Columns side by side; a first cell that is too long goes on below, as an interval does."""
    rows = [table.head, *table.rows]
    rest = [max(len(part) for row in rows for part in row[c].split("\n")) for c in range(1, len(table.head))]
    first = max(12, min(max(len(row[0]) for row in rows), width - sum(rest) - 2 * len(rest)))

    def lines(row: Sequence[str]) -> str:
        cells = [textwrap.wrap(row[0], first, subsequent_indent="  "), *(cell.split("\n") for cell in row[1:])]
        sides = (first, *rest)
        across = zip_longest(*cells, fillvalue="")
        return "\n".join("  ".join(map(str.ljust, parts, sides)).rstrip() for parts in across)

    rule = "-" * min(width, first + sum(rest) + 2 * len(rest))
    body = [lines(row) for row in table.rows]
    heading = [lines(table.head), rule] if any(table.head) else [rule]
    return "\n".join([*textwrap.wrap(table.caption, width), *heading, *body])
