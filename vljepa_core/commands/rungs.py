"""``python -m vljepa_core rungs``: the ladder of interventions."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_core.interventions import RUNGS
from vljepa_core.recipes import SCALES, recipe
from vljepa_core.rungs import BASE, changes_at, run_rung, rung_path
from vljepa_core.side_by_side import gpus_to_share, side_by_side

EPILOG = """
What is finished is loaded, what was begun goes on from its checkpoint: after a kill, give the same command again.
One run that fails does not stop the others.

examples:
  python -m vljepa_core rungs
  python -m vljepa_core rungs published align run5 --seed 0 1 2 --keep
"""


def add_rungs_command(commands: argparse._SubParsersAction) -> None:
    """Add ``rungs`` to the command line."""
    rungs = commands.add_parser(
        "rungs",
        help="the ladder of interventions: what breaks the collapse",
        description="The ladder of interventions, each rung changing something of Run 2.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rungs.add_argument("name", nargs="*", metavar="NAME", help=f"all by default: {', '.join(RUNGS)}")
    rungs.add_argument("--data", default="scenes", help="as for run (default scenes)")
    rungs.add_argument("--seed", nargs="+", action="extend", type=int, help="one or several (default 0)")
    rungs.add_argument("--scale", default="laptop", help=f"{', '.join(SCALES)} (default laptop)")
    rungs.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at a time, each with its share of the cores and on one of the GPUs",
    )
    rungs.add_argument("--device", help="cpu, cuda or mps; the best there is by default")
    rungs.add_argument(
        "--keep", action="store_true", help="copy each record to data/recorded/rungs/ as it finishes, to be committed"
    )
    rungs.set_defaults(function=rungs_command)


@dataclass
class _Run:
    """One rung with one seed: its folder, and how long it took, where that is known."""

    name: str
    seed: int
    folder: Path
    seconds: float | None = None

    @property
    def label(self) -> str:
        return f"{self.name}, seed {self.seed}"


def rungs_command(options: argparse.Namespace) -> int:
    """Make or load the rungs' records; 0 if all have one, 1 if something failed."""
    from vljepa_core import distributed, runs
    from vljepa_core.estimate import human_time
    from vljepa_core.keeping import keep_run
    from vljepa_core.train import choose_device

    if options.jobs < 1:
        raise ValueError(f"--jobs {options.jobs}: at least 1")
    names = list(dict.fromkeys(options.name or RUNGS))
    for name in names:  # refuse all before running any
        recipe(BASE, options.scale, **changes_at(name, options.scale))
    asked = [_prepare(name, seed, options) for seed in dict.fromkeys(options.seed or [0]) for name in names]
    _say(f"rungs on {options.data}, {options.scale}: {len(asked)} runs, {_left(asked)}")
    if options.jobs > 1 and len(asked) > 1 and distributed.size() == 1:
        commands = [rung_command(run.name, run.seed, options) for run in asked]
        gpus = gpus_to_share(str(choose_device(options.device)))
        return int(side_by_side([run.label for run in asked], commands, options.jobs, gpus) > 0)
    failed = []
    for number, run in enumerate(asked, 1):
        known = run.seconds is not None
        if not known:
            _say(f"{number}/{len(asked)}  {run.label}: training")
        try:
            record = run_rung(run.name, options.scale, options.data, run.seed, options.device)
        except failures() as error:
            failed.append(run)
            print(f"{number}/{len(asked)}  {run.label}: FAILED, {error}", file=sys.stderr, flush=True)
            continue
        run.seconds = record.provenance["seconds"]
        if distributed.rank() > 0:  # one process speaks, and keeps
            continue
        line = f"{number}/{len(asked)}  {run.label}: {_found(record)}"
        print(f"{line}  [{human_time(run.seconds)}{', loaded' if known else ''}]", flush=True)
        if options.keep:
            path = rung_path(run.name, record)
            changes = changes_at(run.name, options.scale)
            prepared = runs.prepare(BASE, options.scale, options.data, run.seed, features=False, **changes)
            keep_run(record, prepared, path)
            _say(f"kept as {path}")
        if not known and number < len(asked):
            _say(_left([each for each in asked if each not in failed]))
    if failed:
        _say(f"failed: {'; '.join(run.label for run in failed)}; the same command tries again")
    distributed.leave()
    return 1 if failed else 0


def failures() -> tuple[type[Exception], ...]:
    """What ends one run and not those after it: a loss that is not finite, memory that is not there.

    Of several processes that make a run together, one without memory ends: the others would wait for it.
    """
    from vljepa_core import distributed

    return (FloatingPointError, RuntimeError) if distributed.size() == 1 else (FloatingPointError,)


def rung_command(name: str, seed: int, options: argparse.Namespace) -> list[str]:
    """The command that runs one rung with one seed, at the place that the options name."""
    command = [sys.executable, "-m", "vljepa_core", "rungs", name, "--seed", str(seed)]
    command += ["--data", options.data, "--scale", options.scale]
    command += ["--device", options.device] if options.device else []
    return [*command, *(["--keep"] if options.keep else [])]


def _prepare(name: str, seed: int, options: argparse.Namespace) -> _Run:
    from vljepa_core import runs

    changes = changes_at(name, options.scale)
    prepared = runs.prepare(BASE, options.scale, options.data, seed, progress=True, features=False, **changes)
    record = runs.finished_record(prepared.folder)
    return _Run(name, seed, prepared.folder, None if record is None else record.provenance["seconds"])


def _left(asked: list[_Run]) -> str:
    """How many are done and left, and what those left will take if they take as long as those done did."""
    from vljepa_core.estimate import human_time

    took = {run.folder: run.seconds for run in asked if run.seconds is not None}
    left = {run.folder for run in asked if run.seconds is None}
    text = f"{len(asked) - len(left)} finished, {len(left)} left"
    if took and left:
        text += f", about {human_time(len(left) * sum(took.values()) / len(took))}"
    return text


def _found(record: Any) -> str:
    """What a record says about the collapse, in a few words."""
    bits, unique = record.metrics.get("infonce"), record.metrics["greedy_unique"]
    shown = "InfoNCE not measured, too few images"
    if bits is not None:
        shown = f"InfoNCE {bits['value']:.2f} bits [{bits['low']:.2f}, {bits['high']:.2f}]"
    return f"{shown}, {round(unique['value'] * unique['n'])} of {unique['n']} greedy captions distinct"


def _say(text: str) -> None:
    """To the terminal, from one process of those that make a run together."""
    from vljepa_core import distributed

    if distributed.rank() == 0:
        print(text, file=sys.stderr, flush=True)
