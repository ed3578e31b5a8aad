"""What arrives at so many bytes: bits and CIDEr of plans, of pictures, and of the full activations."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import setting
from vljepa_core.figures.style import AMBER, BLUE, GREEN, GREY, INK, PURPLE, VERMILLION, new_figure, styled
from vljepa_core.figures.units import number, said_bytes
from vljepa_core.rate_record import GOAL_BYTES, KEPT, RateCurve

# family -> colour, marker, filled; shape and fill tell apart what colour does for others
_LOOKS = {
    "fp16": (GREY, "s", True),
    "int8": (BLUE, "o", True),
    "int4": (GREEN, "^", True),
    "binary": (AMBER, "v", True),
    "fsq5": (PURPLE, "D", True),
    "principal components, int4": (BLUE, "P", False),
    "principal components, one step": (VERMILLION, "*", True),
    "JPEG, file": (INK, "X", True),
    "JPEG, bare": (INK, "X", False),
    "WebP, file": (INK, "p", True),
    "WebP, bare": (INK, "p", False),
    "full activations, fp16": (INK, "h", False),
    "its caption, as text": (VERMILLION, "$T$", True),
}
_OTHER = (GREY, ".", True)
_PANELS = (("infonce", "bits delivered (InfoNCE)"), ("cider", "CIDEr, greedy captions"))


@styled
def rate_quality(curve: RateCurve) -> Display:
    """Two panels over the bytes of an image, logarithmic: bits delivered and CIDEr, with 95% intervals.

    A line joins the best of a family at so many bytes or fewer; families that are neither plan nor picture are one
    point. What is sent at 0 bytes, the mean plan, is a line across.

    Raises:
        ValueError: nothing has been measured.
    """
    rows = curve.measured()
    if not rows:
        raise ValueError(f"rate_quality: the curve of {setting(curve)} has no measured row")
    families = list(dict.fromkeys(row["family"] for row in rows if row["bytes"] > 0))
    fig = new_figure(6.4 + 0.11 * len(families))
    axes = fig.subplots(len(_PANELS), 1, sharex=True)
    whole = next((row for row in rows if row["kind"] == "plan"), None)
    nothing = next((row for row in rows if row["kind"] == "nothing"), None)
    for ax, (name, label) in zip(axes, _PANELS, strict=True):
        for family in families:
            _draw(ax, name, [row for row in rows if row["family"] == family], family)
        _lines(ax, name, whole, nothing, curve)
        ax.set_ylabel(label)
    axes[-1].set_xscale("log")
    axes[-1].xaxis.set_major_locator(LogLocator(10))
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes[-1].set_xlabel("bytes sent for an image")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper left", ncols=2, alignment="left", fontsize=8.5)
    said = "; ".join(_words(row) for row in sorted(rows, key=lambda row: row["bytes"]))
    alt = f"Bits delivered and CIDEr against bytes sent ({setting(curve)}): {said}."
    measured = max(row["infonce"]["n"] for row in rows)  # the others of the scored have fitted the temperature
    caption = (
        f"Run on {setting(curve)}. Bars: 95% intervals; lines: the best of a family at so many bytes. Bits on "
        f"{measured:,} images, CIDEr on {curve.captioned:,}. Full activations: the tokens that the plan's queries read."
        " File: all bytes of a JPEG or WebP file. Bare: without what a receiver could know before."
    )
    return show(fig, alt, caption, min_width=420)


def _draw(ax: Axes, name: str, rows: list[dict[str, Any]], family: str) -> None:
    colour, marker, filled = _LOOKS.get(family, _OTHER)
    rows = sorted(rows, key=lambda row: row["bytes"])
    x, y = [row["bytes"] for row in rows], [row[name]["value"] for row in rows]
    ends = [[row[name][end] for row in rows] for end in ("low", "high")]
    ax.vlines(x, *ends, color=colour, linewidth=1.0, alpha=0.7)
    face = colour if filled else "none"
    size = 7 if marker in ("*", "$T$") else 5.5
    ax.plot(x, y, marker=marker, linestyle="", color=colour, markersize=size, markerfacecolor=face, label=family)
    best = [i for i in range(len(y)) if y[i] >= max(y[: i + 1])]
    dashes = "-" if rows[0]["kind"] == "plan" else (0, (4, 2))
    ax.plot([x[i] for i in best], [y[i] for i in best], color=colour, linewidth=1.2, linestyle=dashes, alpha=0.8)


def _lines(ax: Axes, name: str, whole: dict | None, nothing: dict | None, curve: RateCurve) -> None:
    if whole is not None:
        value = whole[name]["value"]
        ax.axhline(value, color=INK, linewidth=1.0, label=f"the whole plan, {curve.plan_bytes:,} bytes")
        ax.axhline(KEPT * value, color=INK, linewidth=1.0, linestyle=(0, (5, 2)), label=f"{KEPT:.0%} of it")
    if nothing is not None:
        ax.axhline(nothing[name]["value"], color=GREY, linestyle=(0, (1, 1.5)), linewidth=1.4,
                   label="nothing sent: the mean plan")  # fmt: skip
    ax.axvline(GOAL_BYTES, color=INK, linestyle=(0, (1, 1.5)), linewidth=1.0, label=f"{GOAL_BYTES} bytes, the goal")


def _words(row: dict[str, Any]) -> str:
    bits, cider = row["infonce"], row["cider"]
    return (
        f"{row['name']}, {said_bytes(row['bytes'])} bytes: {number('infonce', bits['value'])} bits "
        f"[{number('infonce', bits['low'])}, {number('infonce', bits['high'])}], CIDEr "
        f"{number('cider', cider['value'])} [{number('cider', cider['low'])}, {number('cider', cider['high'])}]"
    )
