"""Sweeps: a grid of runs, written as a small TOML file or on the command line, and the one table of their records.

    experiment = ["run2", "run4"]        every value may be one or a list; the grid is their product
    scale = "laptop"                     laptop if left out
    data = ["scenes:0", "scenes:3"]      scenes if left out
    seed = [0, 1, 2]                     0 if left out

    [set]                                recipe values, by field or short name (K, D, lr, depth)
    plan_vectors = [8, 16, 32]

Several ``[[set]]`` tables are a grid each, one after the other: a curve along n_train at equal steps needs its epochs
to change along with it.

TOML, because Python reads it by itself (3.11 and later), refuses a key that is there twice, and reads ``1e-3`` as a
number, which YAML 1.1 takes for text.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_core.recipes import changes_of, did_you_mean, fields_of, in_full, recipe
from vljepa_core.records import RECORDED, Record, read_record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    import pandas as pd

AXES = ("experiment", "scale", "data", "seed")
DEFAULTS = {"scale": "laptop", "data": "scenes", "seed": 0}


class SweepError(ValueError):
    """A grid that can't be; the message names the file or the value."""


@dataclass(frozen=True)
class Point:
    """One run that a sweep asks for: what ``runs.run`` takes, and a label that tells it from the others."""

    experiment: str
    scale: str
    data: str
    seed: int
    changes: dict[str, Any]
    label: str

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Experiment, scale, data, seed."""
        return self.experiment, self.scale, self.data, self.seed


def read_sweep(path: Path) -> dict[str, Any]:
    """The grid in a TOML file, as it stands there; ``points`` checks it.

    Raises:
        SweepError: not TOML, or a key that no sweep has.
    """
    try:
        grid = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SweepError(f"{path}: there is no such file; sweeps that come with the book are in sweeps/") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SweepError(f"{path}: not TOML ({error})") from None
    known = (*AXES, "set")
    for key, value in grid.items():
        if key not in known:
            raise SweepError(
                f"{path}: unknown key {key!r}: {did_you_mean(key, known)}known: {', '.join(known)}; "
                "recipe values stand under [set]"
            )
        tables = value if isinstance(value, list) else [value]
        if any(isinstance(table, dict) != (key == "set") for table in tables):
            raise SweepError(f"{path}: {key} should be {'a table, [set]' if key == 'set' else 'a value or a list'}")
    return grid


def with_changes(grid: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The grid with recipe values of its own, in every ``set`` table, replaced (under whatever name) or added."""
    new = {field for key in changes for field in fields_of(key)}
    kept = [
        {key: value for key, value in table.items() if key in changes or not new.issuperset(fields_of(key))}
        for table in _tables(grid)
    ]
    return {**grid, "set": [{**table, **changes} for table in kept]}


def points(grid: Mapping[str, Any]) -> list[Point]:
    """Every run of a grid, the last axis fastest; all of them checked before any is run.

    Args:
        grid: ``experiment`` and, if wanted, ``scale``, ``data``, ``seed``, each a value or a list of them; ``set``
            a table of recipe values, likewise, or a list of such tables, whose grids follow one another.

    Raises:
        SweepError: no experiment, an empty list, a value, a field or a run that is there twice, a value of the wrong
            kind.
        RecipeError: a recipe that can't be, named.
    """
    if "experiment" not in grid:
        raise SweepError("a sweep needs an experiment, e.g. experiment = 'run2'")
    given = {**DEFAULTS, **{name: grid[name] for name in AXES if name in grid}}
    axes = {name: _values(name, given[name]) for name in AXES}
    for name in AXES:
        for value in axes[name]:
            good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            if not (good if name == "seed" else isinstance(value, str)):
                raise SweepError(f"{name}: {value!r} should be {'a whole number from 0' if name == 'seed' else 'text'}")
    found = [point for table in _values("set", _tables(grid)) for point in _product(axes, table)]
    varying = [name for name in AXES[1:] if len(axes[name]) > 1]
    keys = dict.fromkeys(key for point in found for key in point.changes)
    varying += [key for key in keys if len({repr(point.changes.get(key)) for point in found}) > 1]
    labelled = [replace(point, label=_label(point, varying)) for point in found]
    for i, point in enumerate(labelled):
        if point.label in (other.label for other in labelled[:i]):
            raise SweepError(f"{point.label}: two [[set]] tables ask for the same run; leave it out of one")
    return labelled


def _tables(grid: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tables = grid.get("set", {})
    return list(tables) if isinstance(tables, list) else [tables]


def _label(point: Point, varying: Sequence[str]) -> str:
    """What tells a run from the others of its sweep."""
    at = {"scale": point.scale, "data": point.data, "seed": f"seed={point.seed}"}
    said = [at.get(name) or f"{name}={point.changes[name]}" for name in varying if name in at or name in point.changes]
    return " ".join([point.experiment, *said])


def _product(axes: Mapping[str, list[Any]], table: Mapping[str, Any]) -> list[Point]:
    """The grid of the axes and one table, its labels still empty."""
    changes = {key: _values(key, value) for key, value in table.items()}
    setter: dict[str, str] = {}
    for key in changes:
        for field in fields_of(key):
            if field in setter:
                raise SweepError(f"{setter[field]} and {key} both set {field}; leave one of them out")
            setter[field] = key
    found = []
    for values in itertools.product(*axes.values(), *changes.values()):
        at = dict(zip([*axes, *changes], values, strict=True))
        changed = {key: at[key] for key in changes}
        recipe(at["experiment"], at["scale"], **changed)  # refuse all before running any
        found.append(Point(*(at[name] for name in AXES), changed, ""))
    return found


def _values(name: str, given: Any) -> list[Any]:
    values = list(given) if isinstance(given, (list, tuple)) else [given]
    if not values:
        raise SweepError(f"{name}: an empty list makes an empty grid; give a value or leave the key out")
    for i, value in enumerate(values):
        if value in values[:i]:
            raise SweepError(f"{name}: {value!r} is there twice")
    return values


# --- the records of a sweep ------------------------------------------------------------------------


def recorded_sweep(name: str | Path) -> list[Record]:
    """The committed records of a sweep, by file name: ``data/recorded/sweeps/NAME``, or the folder given.

    Raises:
        FileNotFoundError: there are none.
    """
    folder = RECORDED / "sweeps" / name  # a whole path stays what it is
    found = [read_record(path) for path in sorted(folder.glob("*/*.json"))]
    if not found:
        raise FileNotFoundError(f"{folder}: no records there; `python -m vljepa_core sweep ... --keep` writes them")
    return found


def sweep_table(records: Sequence[Record]) -> pd.DataFrame:
    """One row per record: where it ran, the recipe values that vary, verdict, metrics, cost, commit.

    A metric takes three columns: ``NAME``, ``NAME_low`` and ``NAME_high`` (95%; empty where not defined). Metrics that
    a record lacks, such as captions' for a classifier, are empty. ``depth`` stands for five equal depths. What
    an older core's recipe did not have is at its default.
    """
    import pandas as pd  # takes longer than the rest of a command's start, and only this needs it

    varying = varying_keys(records)
    rows = []
    for r in records:
        row: dict[str, Any] = {"experiment": r.experiment, "scale": r.scale, "data": r.data, "seed": r.seed}
        row |= {key: in_full(r.recipe).get(fields_of(key)[0]) for key in varying}
        row["verdict"] = r.verdict["label"]
        for name, metric in r.metrics.items():
            row |= {name: metric["value"], f"{name}_low": metric["low"], f"{name}_high": metric["high"]}
        row |= {"train_examples": r.dataset["n_train"], "val_examples": r.dataset["n_val"]}
        row |= {key: r.provenance.get(key) for key in ("steps", "device", "threads", "seconds", "commit", "dirty")}
        rows.append(row)
    return pd.DataFrame(rows)


def varying_keys(records: Sequence[Record]) -> list[str]:
    """Recipe values that some record changes on purpose and that are not the same in all of them."""
    changed = dict.fromkeys(key for r in records for key in changes_of(r.recipe))
    whole = [in_full(r.recipe) for r in records]
    if any(len({values.get(field) for field in fields_of("depth")}) > 1 for values in whole):  # not one depth for all
        changed = dict.fromkeys(field for key in changed for field in (fields_of(key) if key == "depth" else (key,)))
    return [key for key in changed if len({str(values.get(fields_of(key)[0])) for values in whole}) > 1]
