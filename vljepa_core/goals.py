"""What Run 5 and Run 6 should reach, set after small pilots and before the recorded runs, and a record held against it.

Every threshold stands for a use of the picture that a trivial answer does not make: a caption that tells images apart,
a loss below that of a decoder which never saw one, captions that fit their own image better than others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vljepa_core import known_bits
from vljepa_core.baselines import with_constant
from vljepa_core.blind import partner_of, with_gain
from vljepa_core.datasets.selection import Examples
from vljepa_core.records import Record

# A threshold that a run misses stays. What is measured, in the order of the table.
MEASURES: Mapping[str, str] = {
    "infonce": "InfoNCE lower bound, bits",
    "gain_over_blind": "gain over the trained blind model, bits per caption",
    "retrieval": "caption to image, R@1, times chance",
    "greedy_unique": "distinct greedy captions, share of images",
    "greedy_cider": "CIDEr, greedy",
    "category": "category read off the frozen plan, above always the largest class",
    "delivered": "InfoNCE, share of what the captions need from the image or of what it could show (scenes only)",
}
SHARES = ("greedy_unique", "category", "delivered")


@dataclass(frozen=True)
class Threshold:
    """A floor, below which the answer failed, and a goal; None: there is none.

    Attributes:
        above: the floor itself is not enough.
        floor_of, goal_of: controls whose highest value the number multiplies; empty: the number is absolute.
    """

    floor: float | None
    goal: float
    above: bool = False
    floor_of: tuple[str, ...] = ()
    goal_of: tuple[str, ...] = ()


GOALS: Mapping[str, Mapping[str, Threshold]] = {
    "run5": {
        "infonce": Threshold(0.5, 2.0),
        "gain_over_blind": Threshold(0.5, 2.0),
        "retrieval": Threshold(3.0, 10.0),
        "greedy_unique": Threshold(0.10, 0.50),
        "greedy_cider": Threshold(1.0, 2.0, True, ("constant", "blind", "permuted"), ("constant",)),
        "category": Threshold(0.0, 0.10, above=True),
        "delivered": Threshold(None, 0.80),
    },
    "run6": {
        "infonce": Threshold(2.5, 4.5),
        "gain_over_blind": Threshold(2.0, 6.0),
        "retrieval": Threshold(25.0, 60.0),
        "greedy_unique": Threshold(0.85, 0.95),
        "greedy_cider": Threshold(0.30, 0.50),
        "category": Threshold(0.20, 0.28),
        "delivered": Threshold(None, 0.95),
    },
}
# The runs that floors are asked of: those of ``sweeps/pieces.toml`` and ``pieces-run6.toml``, 4,560 steps where there
# are as many photographs. By themselves ``run5`` and ``run6`` are shorter, so that a book can be built in minutes.
_AT_LENGTH = {"n_train": 6074, "n_val": 989, "vocab_size": 1024, "epochs": 24, "scored_images": 989}
AT_LENGTH: Mapping[str, Mapping[str, int]] = {
    "run5": _AT_LENGTH,
    "run5_blind": _AT_LENGTH,
    "run6": {**_AT_LENGTH, "image_size": 224},
}
# The same with the published plan, 16 x 256 in a model as wide, at the rate that suits it: ``sweeps/half-rate*.toml``.
PUBLISHED_PLAN: Mapping[str, float] = {"dim": 256, "heads": 8, "learning_rate": 5e-4}
INTERVAL_SHARE = 0.5  # InfoNCE's 95% interval lies above this share of the floor, or the floor is not reached


@dataclass(frozen=True)
class Judged:
    """One measure of a record against its threshold; None: not measured, or no such threshold.

    ``applies``: whether this data can have it at all. ``low``, ``high``: 95% interval over images, where it has one.
    """

    measure: str
    value: float | None
    floor: float | None
    goal: float | None
    floor_met: bool | None
    goal_met: bool | None
    applies: bool = True
    low: float | None = None
    high: float | None = None


def judge(record: Record, blind: Iterable[Record] = ()) -> list[Judged]:
    """A record of Run 5 or Run 6 against its thresholds, in the order of ``MEASURES``.

    Args:
        record: as ``with_controls`` gives it; without, Run 5's CIDEr can't be judged.
        blind: trained blind models; the record's partner among them, if there is one, is compared with.

    Raises:
        KeyError: the experiment has no goals.
    """
    blind = list(blind)
    record = with_gain(record, blind)
    thresholds, controls = GOALS[record.experiment], _controls(record, blind)
    return [_judged(name, record, thresholds[name], controls) for name in MEASURES]


def number(measure: str, value: float) -> str:
    """A measure's value as it is written: shares in per cent, the category in points above the largest class."""
    if measure in SHARES:
        return f"{100 * value:+.1f} points" if measure == "category" else f"{value:.1%}"
    return f"{value:.3f}" if measure == "greedy_cider" else f"{value:.2f}".rstrip("0").rstrip(".")


def with_controls(record: Record, examples: Mapping[str, Examples]) -> Record:
    """A record as ``judge`` needs it: one that has goals gets its best constant caption's CIDEr among its metrics."""
    return with_constant(record, examples) if record.experiment in GOALS else record


def _judged(name: str, record: Record, threshold: Threshold, controls: Mapping[str, float | None]) -> Judged:
    value = _measure(name, record)
    floor = _times(threshold.floor, threshold.floor_of, controls)
    goal = _times(threshold.goal, threshold.goal_of, controls)
    floor_met = goal_met = None
    if value is not None and floor is not None:
        floor_met = value > floor if threshold.above else value >= floor
    if value is not None and goal is not None:
        goal_met = value >= goal
    if name == "infonce" and value is not None:
        sure = record.metrics["infonce"]["low"] > INTERVAL_SHARE * threshold.floor
        floor_met, goal_met = floor_met and sure, goal_met and sure
    applies = name != "delivered" or known_bits.is_scenes(record)
    return Judged(name, value, floor, goal, floor_met, goal_met, applies, *_interval(name, record))


def _times(factor: float | None, of: tuple[str, ...], controls: Mapping[str, float | None]) -> float | None:
    """The threshold as a number; None where a control that it stands on was not measured."""
    if factor is None or not of:
        return factor
    values = [controls[name] for name in of]
    return None if None in values else factor * max(values)


def _controls(record: Record, blind: Iterable[Record]) -> dict[str, float | None]:
    """CIDEr of answers that do not look at the image in question."""
    partner = partner_of(record, blind)
    return {
        "constant": _value(record, "constant_cider"),
        "blind": None if partner is None else _value(partner, "greedy_cider"),
        "permuted": _value(record, "greedy_cider_permuted"),
    }


def _measure(name: str, record: Record) -> float | None:
    if name == "retrieval":
        found = record.metrics.get("image_r1")
        return None if found is None else found["value"] * found["n"]
    if name == "category":
        read, largest = _value(record, "probe_plan"), _value(record, "probe_majority")
        return None if read is None or largest is None else read - largest
    if name == "delivered":
        rungs = known_bits.of([record]) if known_bits.is_scenes(record) and "infonce" in record.metrics else []
        return rungs[0].delivered if rungs else None
    return _value(record, name)


def _interval(name: str, record: Record) -> tuple[float | None, float | None]:
    found = record.metrics.get("image_r1" if name == "retrieval" else name)
    if found is None or found["low"] is None:
        return None, None
    times = found["n"] if name == "retrieval" else 1
    return times * found["low"], times * found["high"]


def _value(record: Record, name: str) -> float | None:
    found = record.metrics.get(name)
    return None if found is None else found["value"]
