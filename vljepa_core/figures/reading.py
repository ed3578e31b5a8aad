"""Reading a record, be it the dataclass or the JSON that it is stored as."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from vljepa_core.experiments import RUN6
from vljepa_core.recipes import Recipe, in_full, recipe
from vljepa_core.tokenizer import VOCAB_SIZE

TITLES = {
    "test0": "Test 0",
    "run1": "Run 1",
    "run2": "Run 2",
    "test3": "Test 3",
    "run3": "Run 3",
    "run4": "Run 4",
    "run5": "Run 5",
    "run6": "Run 6",
    "run5_blind": "Blind twin of Runs 5 and 6",
}


def get(record: Any, key: str, default: Any = None) -> Any:
    """``record.key`` or ``record["key"]``; ``default`` where it is absent or None."""
    value = record.get(key) if isinstance(record, Mapping) else getattr(record, key, None)
    return default if value is None else value


def title(record: Any) -> str:
    """The experiment's name as the report writes it, such as "Run 2"."""
    name = get(record, "experiment", "")
    return TITLES.get(name, name)


def setting(record: Any) -> str:
    """What a run ran on: "scenes, laptop, seed 0"; with what it saw or wrote in another form than its like."""
    return f"{', '.join([*_place(record), *in_another_form(record)])}, seed {get(record, 'seed', 'unknown')}"


def in_another_form(record: Any) -> tuple[str, ...]:
    """What tells a run from others of its name: images' size, pieces of words, another plan or rate, no bottleneck."""
    made = get(record, "recipe", {})
    found = []
    plan = made.get("plan_vectors"), made.get("dim")
    if made.get("plan_reads") == "tokens":
        found.append(f"no bottleneck, all {plan[0]} tokens read")
    elif None not in plan and plan != _plan(get(record, "experiment"), get(record, "scale")):
        found.append("a plan of {} x {}".format(*plan))
    if made.get("plan_source", "image") == "image" and made.get("visual", "vit") != "vit":
        pixels = made.get("image_size", RUN6["image_size"])
        found += [f"{pixels} pixels"] * (pixels != RUN6["image_size"])
    if made.get("vocab_size", VOCAB_SIZE) > VOCAB_SIZE:
        found.append("in pieces of words")
    rate = made.get("learning_rate")
    if rate is not None and rate != _plain(get(record, "experiment"), get(record, "scale")).learning_rate:
        found.append(f"learning rate {rate:g}")
    return tuple(found)


@cache
def _plain(experiment: str, scale: str) -> Recipe:
    """The recipe as it is at this scale."""
    return recipe(experiment, scale)


def _plan(experiment: str, scale: str) -> tuple[int, int]:
    """Vectors and numbers of each, as the recipe has them at this scale."""
    return _plain(experiment, scale).plan_vectors, _plain(experiment, scale).dim


def as_made(record: Any) -> tuple[tuple[str, Any], ...]:
    """The whole recipe, to group by: what runs have in common that may be averaged as seeds of one another."""
    return tuple(sorted(in_full(get(record, "recipe", {})).items()))


def settings(records: list[Any]) -> str:
    """What several runs ran on, seeds together: "flickr8k, laptop, seeds 0, 1; scenes, laptop, seed 0"."""
    seeds: dict[str, list[str]] = {}
    for record in records:
        where, seed = setting(record).rsplit(", seed ", 1)
        seeds.setdefault(where, [])
        if seed not in seeds[where]:
            seeds[where].append(seed)
    return "; ".join(f"{w}, seed{'s' if len(s) > 1 else ''} {', '.join(s)}" for w, s in seeds.items())


def set_apart(groups: Sequence[Sequence[Any]], also: Callable[[Any], Any] = lambda run: None) -> list[str]:
    """For each group of runs of one recipe what tells it from others that ran on the same: "align_weight=0.3".

    Empty for a group whose ``settings`` no other one has, its seeds aside, together with what is ``also`` told of it.
    """
    where = [(setting(runs[0]).rsplit(", seed ", 1)[0], also(runs[0])) for runs in groups]
    made = [dict(as_made(runs[0])) for runs in groups]
    said = []
    for place, own in zip(where, made, strict=True):
        alike = [other for there, other in zip(where, made, strict=True) if there == place]
        keys = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        said.append(", ".join(f"{key}={own[key]}" for key in keys))
    return said


def one_each_seed(records: Iterable[Any]) -> list[Any]:
    """The last record of each seed: a committed one and this build's of the same run are no two seeds."""
    return list({get(record, "seed"): record for record in records}.values())


def place(records: list[Any]) -> str:
    """Dataset, scale and seeds of runs of one place, whatever forms they are in: "flickr8k, laptop, seeds 0, 1"."""
    found = {get(record, "seed", "unknown") for record in records}
    seeds = sorted(found, key=lambda seed: (isinstance(seed, str), seed))
    return f"{', '.join(_place(records[0]))}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _place(record: Any) -> tuple[str, str]:
    """Dataset and scale."""
    data = get(get(record, "dataset", {}), "name") or get(record, "data", "unknown data")
    return data, get(record, "scale", "unknown scale")


def series(record: Any, key: str, since: int = 0) -> tuple[list[float], list[float]]:
    """Epochs (from ``since``) and values of one quantity over training; empty where it was not measured."""
    history = get(record, "history", [])
    rows = [row for row in history if row.get(key) is not None and row["epoch"] >= since]
    return [row["epoch"] for row in rows], [float(row[key]) for row in rows]


def at_random_weights(record: Any, key: str) -> float | None:
    """A quantity at epoch 0, before anything is learned; None where it was not measured."""
    first = next((row for row in get(record, "history", []) if row.get("epoch") == 0), {})
    return first.get(key)


def metric(record: Any, name: str) -> dict | None:
    """``{"value", "low", "high", "n"}`` of a metric; low, high and n may be absent. None: not measured."""
    found = get(record, "metrics", {}).get(name)
    if found is None or found.get("value") is None:
        return None
    return found
