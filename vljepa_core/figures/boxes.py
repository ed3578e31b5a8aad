"""Boxes and arrows in layers, from top to bottom: what the decision tree and the data flow are drawn with."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from vljepa_core.figures.style import BLUE, GREY, INK, WIDTH, new_figure

_SIZE = 10.0  # points, for all text; also the unit of all distances below
_LINE = 1.32 * _SIZE
_PAD = 0.7 * _SIZE
_GAP = 3.4 * _SIZE  # between rows: room for an arrow and its label
_SPACE = 1.6 * _SIZE  # between columns


@dataclass(frozen=True)
class Box:
    """A node: a bold title and further lines; drawn strongly where ``strong``."""

    id: str
    title: str
    lines: tuple[str, ...] = ()
    strong: bool = True


@dataclass(frozen=True)
class Arrow:
    """An edge from one box to another, with words at its head."""

    source: str
    target: str
    label: str = ""
    strong: bool = True


def layers(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> dict[str, tuple[int, int]]:
    """Row and column of every box: below all that point at it; the first follower keeps the column.

    Raises:
        ValueError: an arrow names an unknown box, or the arrows form a loop.
    """
    ids = [box.id for box in boxes]
    for arrow in arrows:
        for end in (arrow.source, arrow.target):
            if end not in ids:
                raise ValueError(f"an arrow names the box {end!r}; the boxes are {', '.join(ids)}")
    parents = {name: [a.source for a in arrows if a.target == name] for name in ids}
    row = dict.fromkeys(ids, 0)
    for _ in ids:  # longest path from the top: settled after at most one pass per box
        before = dict(row)
        for arrow in arrows:
            row[arrow.target] = max(row[arrow.target], row[arrow.source] + 1)
        if row == before:
            break
    else:
        raise ValueError("the arrows form a loop")
    for name in ids:  # what nothing points at stands just above where it is needed
        followers = [row[a.target] for a in arrows if a.source == name]
        if not parents[name] and followers:
            row[name] = min(followers) - 1
    column: dict[str, int] = {}
    taken: set[tuple[int, int]] = set()
    # In a row, followers come before boxes without a parent, and in the order of their arrows.
    rank = {name: next((i for i, a in enumerate(arrows) if a.target == name), len(arrows)) for name in ids}
    for name in sorted(ids, key=lambda i: (row[i], rank[i], ids.index(i))):
        place = (row[name], column[parents[name][0]] if parents[name] else 0)
        while place in taken:
            place = (place[0], place[1] + 1)
        column[name] = place[1]
        taken.add(place)
    return {name: (row[name], column[name]) for name in ids}


def diagram(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Figure:
    """The boxes in layers, joined by right-angled arrows."""
    place = layers(boxes, arrows)
    columns = max(c for _, c in place.values()) + 1
    rows = max(r for r, _ in place.values()) + 1
    full = WIDTH * 72
    width = (full - 2 - _SPACE * (columns - 1)) / columns
    width = min(width, 0.72 * full)
    left = (full - columns * width - (columns - 1) * _SPACE) / 2
    text = {box.id: _wrapped(box, width - 2 * _PAD) for box in boxes}
    tall = {name: _LINE * (len(head) + len(body)) + 2 * _PAD for name, (head, body) in text.items()}
    row_height = [max(tall[n] for n, (r, _) in place.items() if r == row) for row in range(rows)]
    top = [2 + sum(row_height[:row]) + row * _GAP for row in range(rows)]
    height = top[-1] + row_height[-1] + 3
    fig = new_figure(height / 72)
    fig.set_layout_engine("none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, full), ylim=(height, 0))
    ax.axis("off")
    spot = {name: (left + c * (width + _SPACE), top[r]) for name, (r, c) in place.items()}
    for box in boxes:
        _draw_box(ax, spot[box.id], width, tall[box.id], text[box.id], box.strong)
    for arrow in sorted(arrows, key=lambda a: a.strong):  # the strong ones on top
        (x0, y0), (x1, y1) = spot[arrow.source], spot[arrow.target]
        start, end = (x0 + width / 2, y0 + tall[arrow.source]), (x1 + width / 2, y1)
        _draw_arrow(ax, start, end, y1 - _GAP, arrow)
    return fig


def _wrapped(box: Box, width: float) -> tuple[list[str], list[str]]:
    def wrap(text: str, em: float) -> list[str]:
        return textwrap.wrap(text, max(8, int(width / (em * _SIZE))))

    # Mean widths of DejaVu Sans: bold, then regular.
    return wrap(box.title, 0.63), [piece for line in box.lines for piece in wrap(line, 0.57)]


def _draw_box(ax: Axes, spot: tuple, width: float, height: float, text: tuple, strong: bool) -> None:
    x, y = spot
    style = "round,pad=0,rounding_size=5"
    colour = BLUE if strong else GREY
    if strong:
        ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, fc=BLUE, alpha=0.2, ec="none"))
    line = {"lw": 2.2} if strong else {"lw": 1.0, "ls": (0, (4, 3))}
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, fc="none", ec=colour, **line))
    head, body = text
    for index, words in enumerate(head + body):
        weight = "bold" if index < len(head) else "normal"
        ax.text(x + _PAD, y + _PAD + _LINE * (index + 0.5), words, fontsize=_SIZE, weight=weight, va="center")


def _draw_arrow(ax: Axes, start: tuple, end: tuple, bend: float, arrow: Arrow) -> None:
    """Down, across just above the target's row, and down into it; the label beside the last stretch."""
    colour = BLUE if arrow.strong else GREY
    line = {"color": colour, "lw": 2.4} if arrow.strong else {"color": colour, "lw": 1.1, "ls": (0, (4, 3))}
    across = bend + 0.9 * _SIZE
    if abs(start[0] - end[0]) > 1:
        ax.plot([start[0], start[0], end[0], end[0]], [start[1], across, across, end[1] - 8], **line)
    else:
        ax.plot([start[0], end[0]], [start[1], end[1] - 8], **line)
    tip = FancyArrowPatch(
        (end[0], end[1] - 9),
        (end[0], end[1]),
        arrowstyle="-|>",
        mutation_scale=13,
        color=colour,
        shrinkA=0,
        shrinkB=0,
        lw=0,
    )
    ax.add_patch(tip)
    if arrow.label:
        weight = "bold" if arrow.strong else "normal"
        ax.text(
            end[0] + 9,
            end[1] - 0.35 * (_GAP - 0.9 * _SIZE) - 3,
            arrow.label,
            fontsize=9.5,
            va="center",
            weight=weight,
            color=INK,
        )
