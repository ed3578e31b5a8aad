"""Draw the README's picture from a finished run: python book/picture.py [scale]

Eight validation scenes, evenly spaced, each with its reference caption, under the greedy caption that Run 2
writes for them. Needs the record that `make book` leaves; draws what it finds there.
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import vljepa_core

TARGET = Path(__file__).parent / "_static" / "one-sentence.png"


def picture(scale: str) -> Figure:
    """A light card, legible on a dark page too."""
    run = vljepa_core.prepare("run2", scale=scale)
    record = vljepa_core.run("run2", scale=scale)
    validation = run.examples["val"]
    written = {row["image_id"]: row["greedy"] for row in record.captions}
    fig = Figure(figsize=(9, 5.6), dpi=130, facecolor="white", layout="constrained")
    axes = fig.subplots(2, 4)
    for ax, i in zip(axes.flat, np.linspace(0, len(validation) - 1, 8).round().astype(int), strict=True):
        ax.imshow(validation.images[i], interpolation="nearest")
        ax.set_axis_off()
        said = "\n".join(textwrap.wrap(validation.texts[i], 30))
        ax.set_title(said, fontsize=8.5, y=-0.07, va="top", color="#333333")
    caption, count = Counter(written.values()).most_common(1)[0]
    title = f"What Run 2 writes for {count} of {len(written)} pictures: “{caption}”"
    fig.suptitle("\n".join(textwrap.wrap(title, 78)), fontsize=12, weight="bold")
    fig.supxlabel("under each picture: its reference caption", fontsize=8.5, color="#333333")
    return fig


if __name__ == "__main__":
    picture(sys.argv[1] if len(sys.argv) > 1 else "laptop").savefig(TARGET)
    print(TARGET)
