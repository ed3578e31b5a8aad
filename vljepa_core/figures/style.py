"""One look for all figures: legible on white and on near-black, and to colour-blind readers.

Text, ticks and axes are drawn in a marker colour which ``display.show`` turns into ``currentColor``, so
they take the page's own text colour. Everything else uses mid-luminance variants of the Okabe-Ito colours
(light ones darkened), at least 3:1 against both backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure

INK = "#010203"  # stands for currentColor; no colour of the palette may equal it

BLUE = "#1f83c4"
VERMILLION = "#d55e00"
GREEN = "#009e73"
PURPLE = "#b5659a"
AMBER = "#b97f00"
GREY = "#7f7f7f"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, AMBER, GREY)

# One colour per origin of a number, in every figure.
ORIGIN = {"published": GREY, "recorded": BLUE, "this build": VERMILLION}

WIDTH = 5.8  # inches: 557 px at full size, and 10-point text is still legible when a phone shrinks it

_RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "legend.fontsize": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.prop_cycle": mpl.cycler(color=PALETTE),
    "lines.linewidth": 2.0,
    "svg.fonttype": "path",  # outlines: no font has to exist where the page is read
    "svg.hashsalt": "vljepa",  # the same figure has the same bytes
    "figure.constrained_layout.use": True,
}

F = TypeVar("F", bound=Callable)


def styled(function: F) -> F:
    """Decorator: draw with this look, whatever the notebook's own settings are."""
    return mpl.rc_context(_RC)(function)


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure (inches) that pyplot does not know, so that nothing displays it a second time."""
    return Figure(figsize=(width, height))


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2), from 0 to 1."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two ``#rrggbb`` colours (WCAG 2), from 1 to 21."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)
