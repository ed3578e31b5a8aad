"""``python -m vljepa_core run``: from names of experiments, and of rungs of the ladder, to their records."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vljepa_core.commands.changes import parse_changes
from vljepa_core.commands.rungs import failures, rung_command, rungs_command
from vljepa_core.recipes import EXPERIMENTS, RecipeError, recipe
from vljepa_core.rungs import BASE, changes_at
from vljepa_core.side_by_side import gpus_to_share, side_by_side, threads_each

if TYPE_CHECKING:
    from vljepa_core.runs import Prepared


@dataclass
class _Asked:
    """One run that was asked for; a rung of the ladder is Run 2 with changes."""

    name: str
    experiment: str
    changes: dict[str, Any]
    command: list[str]  # that makes this one alone
    seconds: float = 0.0  # that it will take; 0 where that is not known, or it is done already


def add_run_command(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add ``run`` to the command line."""
    run = commands.add_parser(
        "run",
        help="train, evaluate and leave a record; load it if a matching one exists",
        description="Train, evaluate and leave a record; load it if a matching one exists. On several processes: "
        "torchrun --nproc_per_node=2 -m vljepa_core run ... (gloo on CPUs, nccl on GPUs)",
    )
    run.add_argument("experiment", nargs="+", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    run.add_argument(
        "--rungs", nargs="+", action="extend", default=[], metavar="NAME", help="also these of the ladder (see rungs)"
    )
    run.add_argument(
        "--data",
        default="scenes",
        help="scenes (default), scenes:0 to scenes:4, shapes, coco, or a COCO-captions folder",
    )
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--device", help="cpu, cuda or mps; the best there is by default")
    run.add_argument("--fresh", action="store_true", help="forget an earlier record and checkpoints of this run")
    run.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at a time, each with its share of the cores and on one of the GPUs; the longest first",
    )
    run.add_argument("--no-estimate", action="store_true", help="do not time a few steps first")
    run.add_argument("--keep", action="store_true", help="also copy the record to data/recorded/, to be committed")
    run.set_defaults(function=run_command)
    return run


def run_command(options: argparse.Namespace) -> int:
    """Make or load the records, one after another or several at a time; 0 if all have one, 1 if something failed."""
    from vljepa_core import distributed
    from vljepa_core.train import choose_device

    changes = parse_changes(options.set)
    if options.keep and changes:
        raise RecipeError("--keep records the recipes as they are; with --set the file would pass for the plain run")
    for flag, given in (("--set", changes), ("--fresh", options.fresh)):
        if options.rungs and given:
            raise RecipeError(f"{flag} is of experiments; leave --rungs out")
    if options.jobs < 1:
        raise ValueError(f"--jobs {options.jobs}: at least 1")
    asked = [_Asked(name, name, changes, _alone(options, name)) for name in options.experiment]
    asked += [
        _Asked(name, BASE, changes_at(name, options.scale), rung_command(name, options.seed, options))
        for name in options.rungs
    ]
    for each in asked:  # refuse all before running any
        recipe(each.experiment, options.scale, **each.changes)
    jobs = min(options.jobs, len(asked)) if distributed.size() == 1 else 1
    if not options.no_estimate and distributed.size() == 1:
        _estimate(asked, options, jobs)
    if jobs > 1:
        # The longest first, so that no core waits at the end for one that was begun last.
        asked.sort(key=lambda each: -each.seconds)
        gpus = gpus_to_share(str(choose_device(options.device)))
        return int(side_by_side([each.name for each in asked], [each.command for each in asked], jobs, gpus) > 0)
    failed = []
    for each in asked[: len(options.experiment)]:
        try:
            _run_alone(each, options)
        except failures() as error:
            failed.append(each.name)
            print(f"{each.name}: FAILED, {error}", file=sys.stderr, flush=True)
    rungs_failed = 0
    if options.rungs:
        named = {**vars(options), "name": options.rungs, "seed": [options.seed]}
        rungs_failed = rungs_command(argparse.Namespace(**named))
    if failed:
        print(f"failed: {', '.join(failed)}; the same command tries again", file=sys.stderr)
    distributed.leave()
    return 1 if failed or rungs_failed else 0


def _estimate(asked: list[_Asked], options: argparse.Namespace, jobs: int) -> None:
    """Time some steps of every run that is not finished, and say how long all will take."""
    from vljepa_core import runs
    from vljepa_core.estimate import estimate_seconds, human_time

    threads = threads_each(jobs)
    for each in asked:
        place = (each.experiment, options.scale, options.data, options.seed)
        prepared: Prepared = runs.prepare(*place, progress=True, features=False, **each.changes)
        if options.fresh or runs.finished_record(prepared.folder) is None:
            try:
                each.seconds = estimate_seconds(runs.with_features(prepared, progress=True), options.device, threads)
            except failures() as error:  # so will the run say
                print(f"{each.name}: no estimate, {error}", file=sys.stderr)
    missing = [each for each in asked if each.seconds]
    if missing:
        total = sum(each.seconds for each in missing) / jobs
        parts = ", ".join(f"{each.name} {human_time(each.seconds)}" for each in missing)
        at_a_time = f", {jobs} at a time" if jobs > 1 else ""
        print(f"to train: {parts}; about {human_time(total)} in all{at_a_time}", file=sys.stderr)


def _run_alone(asked: _Asked, options: argparse.Namespace) -> None:
    """Make or load one experiment's record in this process, and say what came out."""
    from vljepa_core import distributed, runs
    from vljepa_core.estimate import human_time
    from vljepa_core.keeping import keep_run
    from vljepa_core.records import recorded_path

    place = (asked.experiment, options.scale, options.data, options.seed)
    clock = time.monotonic()
    record = runs.run(*place, device=options.device, fresh=options.fresh, progress=True, **asked.changes)
    if distributed.rank() > 0:
        return
    if options.keep:
        path = recorded_path(record)
        keep_run(record, runs.prepare(*place, features=False), path)
        print(f"kept as {path}", file=sys.stderr)
    took = human_time(time.monotonic() - clock)
    print(f"{asked.name}: {record.verdict['label']} ({record.verdict['reason']}) [{took}]", flush=True)


def _alone(options: argparse.Namespace, experiment: str) -> list[str]:
    """The command that runs one experiment of those asked for."""
    command = [sys.executable, "-m", "vljepa_core", "run", experiment, "--no-estimate", "--scale", options.scale]
    command += ["--data", options.data, "--seed", str(options.seed)]
    command += ["--device", options.device] if options.device else []
    command += ["--set", *options.set] if options.set else []
    return [*command, *(flag for flag in ("--fresh", "--keep") if getattr(options, flag[2:]))]
