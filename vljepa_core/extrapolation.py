"""Where a run's measures go with more images, more steps or a wider plan, and how far they would have to go.

A line through the measure against the logarithm of what is turned up is the simplest curve that such measures follow
over a decade or so; nobody knows that they go on to. So two lines are drawn, through all points and through the last
three (of three, the last two), and an extrapolation is the range between what the two say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_core.goals import MEASURES, judge
from vljepa_core.recipes import differing
from vljepa_core.records import Record

# What is turned up: its name in words, and the recipe values that change along with it.
ALONG: Mapping[str, tuple[str, frozenset[str]]] = {
    "n_train": ("training images", frozenset(("n_train", "epochs", "warmup_epochs"))),
    "steps": ("optimiser steps", frozenset(("epochs", "warmup_epochs"))),
    "dim": ("width (D)", frozenset(("dim", "heads"))),
    "image_size": ("pixels a side", frozenset(("image_size",))),
}
_LOOKING = frozenset(("validate_every",))  # does not touch the training
LAST = 3  # points of the second line, where there are more than that
NEARLY = 0.05  # of the steps: as many
OUT_OF_SIGHT = 1e12


@dataclass(frozen=True)
class Point:
    """One record on a curve: at what, with which value, and the 95% interval where the measure has one."""

    at: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """One measure against one thing that was turned up.

    Attributes:
        along: a key of ``ALONG``.
        measure: a key of ``goals.MEASURES``.
        points: from the least to the most.
        floor, goal: what the experiment should reach; None where that has no number.
    """

    along: str
    measure: str
    points: tuple[Point, ...]
    floor: float | None
    goal: float | None

    @property
    def last(self) -> int:
        """Points of the second line: it has to leave one out, or the two would be one and an extrapolation no range."""
        return min(LAST, len(self.points) - 1)

    def line(self, last: int | None = None) -> tuple[float, float]:
        """Least squares through all points or the ``last`` of them: (value at 1, gain per doubling)."""
        points = self.points[-last:] if last else self.points
        slope, start = np.polyfit([math.log2(p.at) for p in points], [p.value for p in points], 1)
        return float(start), float(slope)

    def reaches(self, value: float) -> tuple[float, float] | None:
        """From where to where the two lines reach a value; None if either never does, or beyond ``OUT_OF_SIGHT``."""
        ends = []
        for start, slope in (self.line(), self.line(self.last)):
            doublings = (value - start) / slope if slope > 0 else math.inf
            if doublings > math.log2(OUT_OF_SIGHT):
                return None
            ends.append(2.0**doublings)
        return min(ends), max(ends)


def curves(records: Sequence[Record], blind: Iterable[Record] = ()) -> list[Curve]:
    """All curves of one experiment's records: every measure that has goals, along everything that was turned up.

    The base is the record from which the others differ in one thing each; it is on every curve. Seeds are averaged.

    Args:
        records: of one experiment on one dataset; those that differ from the base in more than one thing are left out.
        blind: trained blind models, for the gain.

    Raises:
        ValueError: no records, or of several experiments, datasets or scales.
    """
    places = {(record.experiment, record.data, record.scale) for record in records}
    if len(places) != 1:
        raise ValueError(f"curves are drawn of one experiment on one dataset, got {sorted(places) or 'no records'}")
    base, blind = _base(records), list(blind)
    asked = {each.measure: (each.floor, each.goal) for each in judge(base, blind)}
    found = []
    for along in ALONG:
        on = [record for record in records if _turned(record, base) in (along, "nothing")]
        if len({_at(record, along) for record in on}) < LAST:
            continue
        for measure in MEASURES:
            points = _points(on, along, measure, blind)
            if len(points) >= LAST:
                found.append(Curve(along, measure, points, *asked[measure]))
    return found


def _points(records: Sequence[Record], along: str, measure: str, blind: list[Record]) -> tuple[Point, ...]:
    by_place: dict[int, list[Point]] = {}
    for record in records:
        judged = next(each for each in judge(record, blind) if each.measure == measure)
        if judged.value is not None:
            at = _at(record, along)
            by_place.setdefault(at, []).append(Point(at, judged.value, judged.low, judged.high))
    return tuple(_mean(by_place[at]) for at in sorted(by_place))


def _mean(points: list[Point]) -> Point:
    """Several seeds at one place; their intervals' ends are averaged too, which is no interval over seeds."""
    ends = [[getattr(point, end) for point in points] for end in ("low", "high")]
    low, high = (None if None in each else float(np.mean(each)) for each in ends)
    return Point(points[0].at, float(np.mean([point.value for point in points])), low, high)


def _at(record: Record, along: str) -> int:
    if along == "n_train":  # a recipe may ask for more images than a folder has
        return min(record.recipe["n_train"], record.dataset["n_train"])
    return record.provenance["steps"] if along == "steps" else record.recipe[along]


def _base(records: Sequence[Record]) -> Record:
    """The record that most others differ from in one thing."""
    return max(records, key=lambda base: sum(_turned(record, base) != "something else" for record in records))


def _turned(record: Record, base: Record) -> str:
    """What was turned up from the base: a key of ``ALONG``, "nothing", or "something else".

    Along images either the steps are held or the epochs.
    """
    changed = set(differing(record.recipe, base.recipe)) - _LOOKING
    if not changed:
        return "nothing"
    steps, of_base = record.provenance["steps"], base.provenance["steps"]
    held = "epochs" not in changed or abs(steps - of_base) < NEARLY * of_base  # an epoch's end rounds steps up
    for along, (_, belonging) in ALONG.items():
        if (along in changed or along == "steps") and changed <= belonging and (along != "n_train" or held):
            return along
    return "something else"
