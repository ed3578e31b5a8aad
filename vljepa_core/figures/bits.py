"""How many bits of its image pass through a run's plan into the words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import Any

from vljepa_core.blind import with_gain
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import metric, setting, title
from vljepa_core.figures.style import BLUE, GREY, INK, VERMILLION, new_figure, styled
from vljepa_core.figures.units import number

# metric, name, marker, colour; the shuffle gap is hollow, because it detects use and measures no information
_PROBES = (
    ("infonce", "InfoNCE, a lower bound", "o", VERMILLION, True),
    ("gain_over_blind", "gain over a trained blind model", "s", BLUE, True),
    ("shuffle_gap", "plan-shuffle gap, a detector only", "D", GREY, False),
)


@styled
def plan_bits(records: Iterable[Any], blind: Iterable[Any] = ()) -> Display:
    """Bits through the plan of several runs, between 0 and the most that the measured images can show.

    The axis is linear up to 1 bit and logarithmic beyond: gaps of a decoder that over-trusts its plan reach far.

    Args:
        records: the runs, from top to bottom.
        blind: trained blind models; a run that has its partner among them gets its gain over it.

    Raises:
        ValueError: there are no records.
    """
    blind = list(blind)
    records = [with_gain(record, blind) for record in records]
    bounds = [m for m in (metric(record, "infonce") for record in records) if m]
    if not records:
        raise ValueError("plan_bits needs at least one record")
    fig = new_figure(1.5 + (0.75 if len(records) <= 6 else 0.55) * len(records))
    ax = fig.add_subplot()
    said, furthest, lowest = [], 1.0, 0.0
    for row, record in enumerate(records):
        words = []
        if bound := metric(record, "infonce"):
            top = math.log2(bound["n"])
            ax.plot([top, top], [row - 0.42, row + 0.42], color=INK, linewidth=1.3, linestyle=(0, (1, 1.2)))
            furthest = max(furthest, top)
        for place, (name, label, marker, colour, filled) in enumerate(_PROBES):
            y, found = row + 0.26 * (place - 1), metric(record, name)
            if found is None:
                words.append(f"{label} not measured")
                ax.annotate("not measured", (0, y), (6, 0), textcoords="offset points", va="center", fontsize=8,
                            style="italic", color=colour)  # fmt: skip
                continue
            low, high = found["low"], found["high"]
            ax.plot([low, high], [y, y], color=colour, linewidth=1.6)
            ax.plot(found["value"], y, marker, color=colour, markersize=6, markerfacecolor=None if filled else "none")
            furthest, lowest = max(furthest, found["value"], high), min(lowest, found["value"], low)
            text = number(name, found["value"])
            ax.annotate(
                text, (max(high, found["value"]), y), (7, 0), textcoords="offset points", va="center", fontsize=8
            )
            words.append(f"{label} {text} bits [{number(name, low)}, {number(name, high)}]")
        said.append(f"{title(record)} ({setting(record)}): {', '.join(words)}")
    for _, label, marker, colour, filled in _PROBES:
        ax.plot([], [], marker, color=colour, markerfacecolor=None if filled else "none", label=label)
    most = sorted({found["n"] for found in bounds})
    ax.plot(
        [], [], color=INK, linewidth=1.3, linestyle=(0, (1, 1.2)), label="log2 of the images: all that InfoNCE can show"
    )
    ax.axvline(0, color=INK, alpha=0.6, linewidth=1)
    said += [f"the most that InfoNCE can show on {n} images is {math.log2(n):.1f} bits" for n in most]
    ax.set_xscale("symlog", linthresh=1, linscale=1.5)
    ax.set_xlim(min(-0.6, 1.6 * lowest), 2.2 * furthest)
    marks = (-50, -20, -10, -5, -2, -1, 0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    ticks = [t for t in marks if 1.6 * lowest <= t <= 2.2 * furthest]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    # A run in another form than its recipe's has a long name: beside that the axes would have no room.
    names = [f"{title(r)}\n{textwrap.fill(setting(r), 40)}" for r in records]
    ax.set_yticks(range(len(records)), names, fontsize=8.5 if len(records) <= 6 else 7.5)
    ax.set_ylim(len(records) - 0.5, -0.6)
    ax.grid(False, axis="y")
    ax.set_xlabel("bits per caption (linear up to 1, then logarithmic)")
    fig.legend(loc="outside upper left", ncols=1, alignment="left")
    alt = f"Bits through the plan, 0 for a decoder that ignores it. {'. '.join(said)}."
    return show(
        fig,
        alt,
        "Lines: 95% intervals. InfoNCE and shuffle gap are 0 where the decoder ignores its plan; the gain compares two "
        "trainings, and is negative where the blind one came out better.",
    )
