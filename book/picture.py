"""Draw the README's picture from the recorded runs on scenes: python book/picture.py

Eight validation scenes, evenly spaced, none picked. Above them the one greedy caption that Run 2 writes for every
picture, under each what Run 6 writes for this one, which was trained as long on as many.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import vljepa_core
from vljepa_core.figures.captions import LEFT_OUT
from vljepa_core.records import RECORDED, Record, read_record

TARGET = Path(__file__).parent / "_static" / "two-captioners.png"
GREY, BLUE = "#555555", "#0b5394"  # on white: 7.5 and 7.8 to 1


def recorded_on_scenes(experiment: str) -> Record:
    """The recorded run as it is named.

    Raises:
        FileNotFoundError: it is not recorded.
    """
    path = RECORDED / "scenes" / f"{experiment}-laptop-seed0.json"
    if not path.exists():
        raise FileNotFoundError(f"{path}: make it with python -m vljepa_core run {experiment} --keep")
    return read_record(path)


def picture() -> Figure:
    """A light card, legible on a dark page too; a caption that a record lacks is said to be left out."""
    run2, run6 = recorded_on_scenes("run2"), recorded_on_scenes("run6")
    scenes = vljepa_core.prepare("run6", "laptop", "scenes", features=False)
    validation = scenes.examples["val"]
    written = {row["image_id"]: row.get("greedy", LEFT_OUT) for row in run6.captions}
    fig = Figure(figsize=(10, 6.6), dpi=130, facecolor="white", layout="constrained")
    axes = fig.subplots(2, 4)
    for ax, i in zip(axes.flat, np.linspace(0, len(validation) - 1, 8).round().astype(int), strict=True):
        ax.imshow(validation.images[i], interpolation="nearest")
        ax.set_axis_off()
        said = "\n".join(textwrap.wrap(written[validation.image_ids[i]], 30))
        ax.set_title(said, fontsize=10, y=-0.05, va="top", color=BLUE, parse_math=False)
    caption, count = Counter(row.get("greedy", LEFT_OUT) for row in run2.captions).most_common(1)[0]
    fig.suptitle(f"Run 2 writes for {count} of {len(run2.captions)} pictures: “{caption}”", fontsize=13, color=GREY,
                 parse_math=False)  # fmt: skip
    fig.supxlabel("under each picture: what Run 6 writes for it", fontsize=11, color=BLUE)
    return fig


if __name__ == "__main__":
    picture().savefig(TARGET)
    print(TARGET)
