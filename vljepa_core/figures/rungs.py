"""The ladder of interventions: bits that come through the plan, rung by rung."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import place
from vljepa_core.figures.style import AMBER, BLUE, GREY, INK, VERMILLION, new_figure, styled
from vljepa_core.interventions import RUNGS
from vljepa_core.known_bits import is_scenes, level_of, needed_bits
from vljepa_core.records import Record
from vljepa_core.rungs import GROUPS, WORTH_NAMING, broke, group_of, uses_plan

_MARKERS = "osD^v<>P"  # one per seed
_TICKS = (-5, -1, -0.2, -0.05, 0, 0.05, 0.2, 1, 5, 20, 50)
_DOTS, _DASHES = (0, (1, 1.2)), (0, (5, 2))


@styled
def rung_bits(found: Mapping[str, Sequence[Record]]) -> Display:
    """InfoNCE of every rung with its 95% interval, a marker per seed, from a blind model's 0 to the most there can be.

    The axis is linear below ``WORTH_NAMING`` bits, which count as nothing, and logarithmic beyond.

    Args:
        found: rung -> its records (``rungs.recorded_rungs``), of one dataset at one scale.

    Raises:
        ValueError: no records, or records of several datasets or scales.
    """
    records = [record for each in found.values() for record in each]
    places = {(record.data, record.scale) for record in records}
    if len(places) != 1:
        raise ValueError(f"rung_bits draws one dataset at one scale, got {sorted(places) or 'no records'}")
    rows = _rows([name for name in found if found[name]])
    seeds = sorted({record.seed for record in records})
    fig = new_figure(1.7 + 0.33 * len(rows))
    ax = fig.add_subplot()
    said, ends = [], [-WORTH_NAMING, 2 * WORTH_NAMING]
    for y, (name, heading) in enumerate(rows):
        if heading:
            ax.text(0, y, heading, transform=ax.get_yaxis_transform(), fontsize=9, fontweight="bold", va="center")
            continue
        said.append(f"{RUNGS[name].title}: {_draw(ax, found[name], y, seeds, ends)}")
    said += _lines(ax, records, ends)
    for seed, marker in zip(seeds, _MARKERS * len(seeds), strict=False):
        ax.plot([], [], marker, color=GREY, label=f"seed {seed}")
    ax.plot([], [], "s", color=VERMILLION, label="breaks the collapse")
    ax.plot([], [], "s", color=BLUE, markerfacecolor="none", label="does not")
    low, high = 1.5 * min(ends), 1.4 * max(ends)
    ax.set_xscale("symlog", linthresh=WORTH_NAMING, linscale=0.6)
    ax.set_xlim(low, high)
    ax.set_xticks(ticks := [t for t in _TICKS if low <= t <= high], [f"{t:g}" for t in ticks], fontsize=9)
    ax.minorticks_off()
    ax.set_yticks(
        [y for y, (_, heading) in enumerate(rows) if not heading],
        [textwrap.fill(RUNGS[name].title, 38) for name, heading in rows if not heading],
        fontsize=8,
        linespacing=0.95,
    )
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.set_xlabel("InfoNCE, bits")
    fig.legend(loc="outside upper left", ncols=2, alignment="left", fontsize=9)
    where = place(records)
    alt = f"Bits through the plan by rung, {where}. {'. '.join(said)}."
    return show(
        fig,
        alt,
        f"{where}. Lines: 95% intervals over images. The axis is linear up to {WORTH_NAMING:g} bits, then logarithmic.",
        min_width=480,
    )


def _rows(names: Sequence[str]) -> list[tuple[str, str]]:
    """(rung, "") for each, under ("", group) for each group that has any."""
    rows: list[tuple[str, str]] = []
    for group in GROUPS:
        if here := [name for name in names if group_of(name) == group]:
            rows += [("", group), *((name, "") for name in here)]
    return rows


def _draw(ax: Axes, records: Sequence[Record], y: int, seeds: Sequence[int], ends: list[float]) -> str:
    """A rung's seeds, one under the other within its row; returns what they say."""
    words = []
    for row, record in enumerate(records):
        if (bits := record.metrics.get("infonce")) is None:
            words.append(f"seed {record.seed} not measured")
            continue
        at = y + 0.22 * (row - (len(records) - 1) / 2)
        marker = _MARKERS[seeds.index(record.seed) % len(_MARKERS)]
        breaks = bool(uses_plan(record))
        colour = VERMILLION if breaks else BLUE
        ax.plot([bits["low"], bits["high"]], [at, at], color=colour, linewidth=1.5)
        ax.plot(bits["value"], at, marker, color=colour, markersize=5, markerfacecolor=None if breaks else "none")
        ends += [bits["low"], bits["high"], bits["value"]]
        words.append(f"seed {record.seed} {bits['value']:.2f} [{bits['low']:.2f}, {bits['high']:.2f}]")
    return f"{', '.join(words)}; breaks the collapse in {broke(records)} of {len(records)}"


def _lines(ax: Axes, records: Sequence[Record], ends: list[float]) -> list[str]:
    """What to read the rungs between; returns it in words."""
    most = [math.log2(record.metrics["infonce"]["n"]) for record in records if "infonce" in record.metrics]
    lines = [(0.0, "a blind model", INK, "-"), (WORTH_NAMING, "less than this counts as nothing", GREY, _DASHES)]
    if most:
        lines.append((max(most), "log2 of the images: all that InfoNCE can show", INK, _DOTS))
    if is_scenes(records[0]):
        ids = [row["image_id"] for row in records[0].captions]
        lines.append((needed_bits(level_of(records[0]), ids).value, "what the captions need from them", AMBER, _DASHES))
    for value, label, colour, dashes in lines:
        text = label if value == 0 else f"{label}: {value:.3g}"
        ax.axvline(value, color=colour, linestyle=dashes, linewidth=1.2, zorder=0.8, label=text)
        ends.append(value)
    return [f"{label} {value:.3g}" for value, label, *_ in lines]
