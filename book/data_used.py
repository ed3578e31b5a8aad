"""Say on the book's data page what this build used: python book/data_used.py build/<scale>-<data>-<seed>/source

Appended to the copy of ``data.md`` there: source, licences, counts and fingerprint of the data of every run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

import vljepa_core

EXPERIMENTS = ("test0", "run2")  # shapes, and what all the others are run on


def section(scale: str, data: str, seed: int) -> str:
    """What a build with these parameters used, as Markdown."""
    lines = ["", "## What this build used", ""]
    for experiment in EXPERIMENTS:
        run = vljepa_core.prepare(experiment, scale=scale, data=data, seed=seed)
        dataset = run.dataset
        rows = {
            "images": f"{len(dataset.images):,}",
            **{f"images, {split}": f"{len(index):,}" for split, index in dataset.splits.items()},
            **{f"of them in {run.recipe.experiment}, {name}": f"{len(used):,}" for name, used in run.examples.items()},
            "captions": f"{sum(map(len, dataset.captions)):,}",
            **{what: f"{count:,}" for what, count in dataset.summary.items() if count},
            # A description is the folder's own text, which may have lines; a row of a table has one.
            "source and licences": " ".join(dataset.source.replace("|", "\\|").split()),
            "fingerprint (SHA-256)": f"`{dataset.fingerprint}`",
        }
        lines += [f"### {dataset.name}", "", "| | |", "|---|---|"]
        lines += [f"| {what} | {value} |" for what, value in rows.items()]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    parameters = yaml.safe_load((folder.parent / "params.yaml").read_text())
    with open(folder / "data.md", "a", encoding="utf-8") as page:
        page.write(section(**parameters))
