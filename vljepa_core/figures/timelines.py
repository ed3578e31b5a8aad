"""Several runs on their first steps, in one figure: where plans come together, and where they stay apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import setting
from vljepa_core.figures.style import AMBER, BLUE, GREEN, GREY, PURPLE, VERMILLION, new_figure, styled
from vljepa_core.records import Record

_LINES = (
    (GREY, (0, (4, 2)), "o"),
    (BLUE, "-", "s"),
    (VERMILLION, "-", "D"),
    (GREEN, (0, (6, 2)), "^"),
    (PURPLE, (0, (1, 1.2)), "v"),
    (AMBER, (0, (6, 2, 1, 2)), "P"),
)
LEAST = 1e-9  # of 1 - cosine: closer than that is rounding
_PANELS = (
    ("plan_cosine", "1 - mean cosine between plans"),
    ("encoder_grad_norm", "gradient norm at the encoder"),
)


@styled
def timelines(records: Mapping[str, Record]) -> Display:
    """How far the plans of different images differ, and the gradient that reaches the encoder, over optimiser steps.

    Every point is of the weights after that many steps, on the first few validation images; step 0 is random weights.
    The gradient of a frozen network is that of the map from its features to visual tokens; a frozen encoder of the
    study's has none, and no line in the second panel.

    Args:
        records: label -> run, six at most; the first, dashed and grey, is what the others are compared with.

    Raises:
        ValueError: no records, more than six, or none of them has a timeline.
    """
    if not 0 < len(records) <= len(_LINES):
        raise ValueError(f"timelines draws 1 to {len(_LINES)} records, got {len(records)}")
    panels = [
        (key, name, {label: found for label, record in records.items() if (found := _points(record, key))})
        for key, name in _PANELS
    ]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        raise ValueError("none of these records has a timeline; they were made before there was one")
    fig = new_figure(1.0 + 2.1 * len(panels) + 0.17 * len(records))
    axes = fig.subplots(len(panels), 1, sharex=True, squeeze=False).ravel()
    styles = dict(zip(records, _LINES, strict=False))
    said = []
    for ax, (_, name, lines) in zip(axes, panels, strict=True):
        for label, found in lines.items():
            colour, dashes, marker = styles[label]
            ax.plot(*zip(*found, strict=True), color=colour, linestyle=dashes, marker=marker, markersize=3.5)
            said.append(f"{label}, {name}: " + ", ".join(f"{value:.3g} at {step}" for step, value in found))
        if all(value > 0 for found in lines.values() for _, value in found):
            ax.set_yscale("log")
        ax.set_title(name, loc="left", fontsize=9.5)
    steps = sorted({step for _, _, lines in panels for found in lines.values() for step, _ in found})
    steps_axis(axes[-1], steps)
    for label, (colour, dashes, marker) in styles.items():
        axes[0].plot(
            [],
            [],
            color=colour,
            linestyle=dashes,
            marker=marker,
            markersize=3.5,
            label=label + ("" if label in panels[0][2] else " (not measured)"),
        )
    fig.legend(loc="outside upper left", ncols=1, alignment="left")
    places = {label: setting(record) for label, record in records.items()}
    where = "; ".join(f"{label}: {place}" for label, place in places.items())
    if len(set(places.values())) == 1:
        where = f"All: {next(iter(places.values()))}"
    alt = f"Timelines of several runs, by optimiser step. {'. '.join(said)}."
    return show(fig, alt, f"Step 0: random weights. {where}.")


def _points(record: Record, key: str) -> list[tuple[int, float]]:
    """Step and value; of the cosine, what it lacks to 1, which shows on a log axis how close to 1 it is."""
    found = [(row["step"], row[key]) for row in record.timeline if row.get(key) is not None]
    return [(step, max(1 - value, LEAST)) for step, value in found] if key == "plan_cosine" else found


def steps_axis(ax: Axes, steps: Sequence[int]) -> None:
    """Optimiser steps from 0, each power of 2 as far from the next; ``steps``: those that were looked at, in order."""
    ax.set_xscale("symlog", base=2, linthresh=1)
    ax.set_xlim(-0.3, 1.3 * max(1, steps[-1]))
    shown = [step for step in steps if step in (0, 1) or step.bit_length() % 2 == 1]  # 0, 1, 4, 16, ...
    ax.set_xticks(shown, [f"{step:,}" for step in shown])
    ax.minorticks_off()
    ax.set_xlabel("optimiser steps")
