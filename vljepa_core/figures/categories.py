"""How well the category is read: off pixels, colours and frozen plans, and by the model that was trained for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vljepa_core.figures.answers import bars
from vljepa_core.figures.display import Display
from vljepa_core.figures.reading import metric, title
from vljepa_core.figures.style import styled
from vljepa_core.figures.units import PROBES, unit_of
from vljepa_core.metrics import Metric

# Read of each run; the first only where a frozen network stands before the plan.
_FROZEN = ("probe_features", "probe_untrained", "probe_untrained_fp16", "probe_plan", "probe_plan_fp16")


@styled
def category_bars(test3: Any, captioners: Iterable[Any]) -> Display:
    """Accuracy and balanced accuracy of the probes, one bar for each thing that is read.

    Args:
        test3: a run of Test 3; what does not depend on a plan is read from its record.
        captioners: captioning runs of the same images, whose frozen plans (and network) are read.

    Raises:
        ValueError: the record of ``test3`` holds no probes.
    """
    if not metric(test3, "probe_majority"):
        raise ValueError(f"{title(test3)}: its record holds no probes (made before there were any); run it again")
    found = {unit_of(name).label: _pair(test3, name, f"{name}_balanced") for name in PROBES if name not in _FROZEN}
    for run in captioners:
        for name in _FROZEN:
            if metric(run, name):
                label = unit_of(name).label.removeprefix("linear probe of the ")
                found[f"{title(run)}: {label}"] = _pair(run, name, f"{name}_balanced")
    own = f"{title(test3)}: trained end to end"
    found[own] = _pair(test3, "accuracy", "balanced_accuracy")
    said = "How well the category is read, by linear probes and by the model trained for it"
    return bars(found, ("accuracy", "balanced_accuracy"), own, said)


def _pair(run: Any, accuracy: str, balanced: str) -> dict[str, Metric]:
    return {
        name: Metric(**{key: found.get(key) for key in ("value", "low", "high", "n")})
        for name, found in (("accuracy", metric(run, accuracy)), ("balanced_accuracy", metric(run, balanced)))
    }
