"""``python -m vljepa_core probe``: how much of its plan a trained captioner uses."""

from __future__ import annotations

import argparse
from pathlib import Path

from vljepa_core.commands.changes import parse_changes


def add_probe_command(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add ``probe`` to the command line; the caller adds --scale and --set, which several commands have."""
    probe = commands.add_parser("probe", help="how much of its plan a trained captioner uses, on any number of images")
    probe.add_argument("experiment", metavar="EXPERIMENT", help="a captioning run that is finished here")
    probe.add_argument("--data", default="scenes", help="as for run")
    probe.add_argument("--seed", type=int, default=0)
    probe.add_argument("--images", type=int, default=200, help="of validation (200); the time grows with the square")
    probe.add_argument("--scores", type=Path, metavar="FILE", help=".npy: also keep log p(caption i | plan j), in nats")
    probe.set_defaults(function=probe_command)
    return probe


def probe_command(options: argparse.Namespace) -> int:
    """Print the probes of a finished run beside chance."""
    import io

    import numpy as np

    from vljepa_core import probes, runs
    from vljepa_core.figures.units import number, unit_of
    from vljepa_core.files import write_atomically
    from vljepa_core.plan_probes import score_run

    run = runs.prepare(options.experiment, options.scale, options.data, options.seed, **parse_changes(options.set))
    scores = score_run(runs.load_model(run), run.recipe, run.dataset, run.seed, options.images, run.features)
    if options.scores:
        file = io.BytesIO()
        np.save(file, scores)
        write_atomically(options.scores, file.getvalue())
    chance = probes.chance(len(scores))
    for name, found in probes.probe(scores).items():
        unit = unit_of(name)
        value, low, high, by_chance = (number(name, x) for x in (found.value, found.low, found.high, chance[name]))
        print(f"{unit.label:42} {value:>8} [{low}, {high}]  by chance {by_chance}  {unit.unit}")
    return 0
