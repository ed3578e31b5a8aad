"""Runs of the ladder of interventions, and their committed records: ``data/recorded/rungs/<data>/``."""

from __future__ import annotations

import glob
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vljepa_core.interventions import BUDGET, RUNGS, SINGLE
from vljepa_core.recipes import RecipeError, did_you_mean, differing, in_full, recipe
from vljepa_core.records import RECORDED, Record, read_record

BASE = "run2"  # what every rung changes
# Made by every build, beside Run 2, which is the first rung, and Runs 5 and 6: a short way; good tokens on it.
IN_EVERY_BUILD = ("direct", "pretrained_direct")
# Whose first steps are set side by side: encoders that learn, with the collapse and without it, then frozen ones.
FIRST_STEPS = ("published", "direct", "batch_norm", "run5", "pretrained_direct", "run6")
WORTH_NAMING = 0.05  # bits: a decoder that takes less from its plan does not use it, whatever an interval says
WORTH_MOVING = 0.2  # bits: what is added to a combination counts if it ends this far from every seed of it
GROUPS = ("single changes", "combination", "one part left out", "given encoder")
Found = Mapping[str, Sequence[Record]]  # rung -> its records, one for each data, scale and seed
# Scales smoke and paper keep their own data and steps; what the rungs are trained with beside them stays.
_SIZE = ("n_train", "n_val", "epochs", "warmup_epochs", "validate_every")


def uses_plan(record: Record) -> bool | None:
    """Whether the InfoNCE bound is at least ``WORTH_NAMING`` bits and its 95% interval lies above 0; None: unknown.

    Of a rung: whether it breaks the collapse.
    """
    found = record.metrics.get("infonce")
    return None if found is None else found["low"] > 0 and found["value"] >= WORTH_NAMING


def broke(records: Sequence[Record]) -> int:
    """In how many of a rung's records, its seeds, the collapse is broken."""
    return sum(uses_plan(record) is True for record in records)


def moved(record: Record, whole: Sequence[Record]) -> str:
    """Whether a change of a combination moved its bits, by ``WORTH_MOVING`` from every seed: "up", "down" or "no"."""
    bits = record.value("infonce")
    apart = [bits - each.value("infonce") for each in whole]
    if min(apart) >= WORTH_MOVING:
        return "up"
    return "down" if max(apart) <= -WORTH_MOVING else "no"


def whole_of(name: str) -> str | None:
    """The combination of which a rung leaves one part out; None if it leaves none."""
    whole, without, _ = name.partition("_without_")
    return whole if without else None


def group_of(name: str) -> str:
    """Which of ``GROUPS`` a rung belongs to; a network as visual encoder, with nothing left out, makes it the last."""
    if whole_of(name):
        return GROUPS[2]
    if RUNGS[name].changes.get("visual", "vit") != "vit":
        return GROUPS[3]
    return GROUPS[0] if name in SINGLE else GROUPS[1]


def changes_at(name: str, scale: str) -> dict[str, Any]:
    """What a rung changes of Run 2 at a scale; at laptop the ladder's budget included.

    What comes before the captions (``pretrain_epochs``) keeps its share of the epochs.

    Raises:
        RecipeError: no rung of that name.
    """
    if name not in RUNGS:
        known = tuple(RUNGS)
        raise RecipeError(f"unknown rung {name!r}: {did_you_mean(name, known)}known: {', '.join(known)}")
    changes = {**BUDGET, **RUNGS[name].changes}
    if scale != "laptop":
        changes = {key: value for key, value in changes.items() if key not in _SIZE}
        if first := changes.get("pretrain_epochs"):
            changes["pretrain_epochs"] = max(1, first * recipe(BASE, scale).epochs // BUDGET["epochs"])
    return changes


def run_rung(name: str, scale: str, data: str, seed: int, device: str | None = None, progress: bool = False) -> Record:
    """The record of a rung: loaded if a matching one exists, else made; see ``runs.run``.

    Raises:
        RecipeError: no rung of that name.
    """
    from vljepa_core import runs  # PyTorch, which a list of the rungs' names needs not wait for

    return runs.run(BASE, scale, data, seed, device=device, progress=progress, **changes_at(name, scale))


def rung_path(name: str, record: Record, folder: Path | None = None) -> Path:
    """Where a rung's record is committed: ``data/recorded/rungs/<data>/<rung>-<scale>-seed<n>.json``."""
    folder = RECORDED / "rungs" if folder is None else folder
    return folder / record.data / f"{name}-{record.scale}-seed{record.seed}.json"


def recorded_rungs(data: str | None = None, folder: Path | None = None) -> dict[str, list[Record]]:
    """The committed records of the rungs, by name, in the ladder's order; each by data, scale, seed.

    A record whose recipe is not what its rung asks for today, or whose file name says something else than it does
    itself, is left out, and named on stderr. A rung without records is absent.

    Args:
        data: of this dataset only, by the name that its records give it ("scenes", "flickr8k").
        folder: other than ``data/recorded/rungs``.
    """
    folder = RECORDED / "rungs" if folder is None else folder
    found: dict[str, list[Record]] = {}
    for path in sorted(folder.glob(f"{glob.escape(data) if data else '*'}/*.json")):
        record = read_record(path)
        name = path.stem.removesuffix(f"-{record.scale}-seed{record.seed}")
        reason = "its name is not that of its rung, scale and seed, or its folder not that of its data"
        if name in RUNGS and path == rung_path(name, record, folder):
            reason = _other_recipe(name, record)
        if reason:
            print(f"{path}: left out, {reason}", file=sys.stderr)
            continue
        found.setdefault(name, []).append(record)
    return {
        name: sorted(found[name], key=lambda r: (r.data, r.scale, r.seed)) for name in RUNGS if name in found
    }  # fmt: skip


def by_place(found: Found) -> list[Found]:
    """The records split by dataset and scale, which are never averaged; the place with most rungs first."""
    places = {(record.data, record.scale): None for each in found.values() for record in each}
    split = [
        {name: here for name, each in found.items() if (here := [r for r in each if (r.data, r.scale) == place])}
        for place in places
    ]
    return sorted(split, key=len, reverse=True)


def first_steps(found: Found) -> dict[str, Record]:
    """Title -> first seed's record of the rungs in ``FIRST_STEPS`` that are recorded: collapsed, and broken open."""
    return {RUNGS[name].title: found[name][0] for name in FIRST_STEPS if found.get(name)}


def _other_recipe(name: str, record: Record) -> str | None:
    """In what a record's recipe is not its rung's; None if it is."""
    wanted = recipe(BASE, record.scale, **changes_at(name, record.scale)).to_dict()
    changed = differing(wanted, record.recipe)
    if not changed:
        return None
    key = changed[0]
    have = in_full(record.recipe).get(key)
    return f"{key} is {have!r} in it, and {wanted.get(key)!r} in the rung {name}; run it again"
