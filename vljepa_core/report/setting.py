"""Tables of what was run: what a recipe changes of the published one, and the data."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from vljepa_core.datasets.dataset import Dataset
from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.tables import html_table


def recipe_table(recipe: Any, paper: Any) -> Display:
    """What a scale shrank: the rows in which the recipe differs from the published one.

    Args:
        recipe: this build's recipe, a dataclass or a dict.
        paper: the same experiment at scale ``paper``.
    """
    ours, theirs = _plain(recipe), _plain(paper)
    keys = [k for k in (*theirs, *(k for k in ours if k not in theirs)) if ours.get(k) != theirs.get(k)]
    absent = '<span class="none">not set</span>'
    rows = [
        [
            f"<code>{escape(k)}</code>",
            *(escape(_value(r[k])) if r.get(k) is not None else absent for r in (theirs, ours)),
        ]
        for k in keys
        if k not in ("scale", "experiment", "name")
    ]
    if not rows:
        rows = [['<span class="none">nothing differs</span>', "as published", "as published"]]
    caption = "Where this build's recipe differs from the published one; everything else is the same."
    return html_table(caption, ["setting", "paper", "this build"], rows)


def dataset_table(dataset: Dataset) -> Display:
    """What a dataset is: counts, where it comes from, and what was handled or refused while it was read."""
    rows = [[f"images, {split}", f"{len(index):,}"] for split, index in dataset.splits.items()]
    rows.append(["captions", f"{sum(map(len, dataset.captions)):,}"])
    rows += [[escape(what), f"{count:,}"] for what, count in dataset.summary.items() if count]
    rows.append(["source and licence", escape(dataset.source)])
    rows.append(["fingerprint (SHA-256)", f"<code>{dataset.fingerprint[:16]}…</code>"])
    quiet = sum(count == 0 for count in dataset.summary.values())
    note = f" {quiet} further checks (missing, broken or odd images and captions) found nothing." if quiet else ""
    return html_table(f"The data of this build: {dataset.name}.{note}", ["", dataset.name], rows)


def _plain(recipe: Any) -> dict[str, Any]:
    if is_dataclass(recipe) and not isinstance(recipe, type):
        return asdict(recipe)
    return dict(recipe)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
