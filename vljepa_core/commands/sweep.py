"""``python -m vljepa_core sweep``: every run of a grid, here or on a cluster, and one table at the end."""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_core.commands.rungs import failures
from vljepa_core.files import data_dir, write_atomically
from vljepa_core.recipes import EXPERIMENTS, SCALES
from vljepa_core.sweeps import Point, SweepError, points, read_sweep, sweep_table, with_changes

EPILOG = """
A sweep that was stopped goes on when the same command is given again: what is finished is loaded, what was begun
resumes from its checkpoint. One run that fails does not stop the others.

examples:
  python -m vljepa_core sweep sweeps/smoke.toml
  python -m vljepa_core sweep run2 --seed 0 1 2 --set K=8,16,32 --dry-run
  python -m vljepa_core sweep run2 run4 --scale paper --data coco --cluster slurm --gpus 1 --time 8:00:00
"""


def add_sweep_command(commands: argparse._SubParsersAction) -> None:
    """Add ``sweep`` to the command line."""
    sweep = commands.add_parser(
        "sweep",
        help="a grid of runs, here or on a SLURM cluster; goes on where it was stopped; one table",
        description=f"A grid of runs. {__doc__.partition(': ')[2]}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.add_argument(
        "what", nargs="+", metavar="FILE.toml or EXPERIMENT", help=f"a sweep file, or any of {', '.join(EXPERIMENTS)}"
    )
    grid = sweep.add_argument_group("the grid (each takes several values, and replaces what a file says)")
    grid.add_argument("--scale", nargs="+", action="extend", help=f"{', '.join(SCALES)} (default laptop)")
    grid.add_argument("--data", nargs="+", action="extend", help="as for run (default scenes)")
    grid.add_argument("--seed", nargs="+", action="extend", type=int, help="default 0")
    grid.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=V,V",
        help="recipe values, e.g. K=8,16,32 word_dropout=token",
    )  # fmt: skip
    where = sweep.add_argument_group("where it runs")
    where.add_argument("--cluster", choices=("local", "slurm"), default="local", help="default: this machine")
    where.add_argument(
        "--jobs", type=int, metavar="N", help="runs at a time: 1 here (one training uses all cores; more share them "
        "and the GPUs), up to 256 on SLURM",
    )  # fmt: skip
    where.add_argument("--device", help="cpu, cuda or mps; the best there is by default")
    where.add_argument("--partition", help="SLURM: partition")
    where.add_argument("--time", help="SLURM: limit for one run, minutes or H:MM:SS (default 24 hours)")
    where.add_argument("--gpus", type=int, help="SLURM: GPUs of one run")
    where.add_argument("--cpus", type=int, help="SLURM: CPU cores of one run")
    where.add_argument(
        "--slurm", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="SLURM: anything else of sbatch, e.g. account=me",
    )  # fmt: skip
    out = sweep.add_argument_group("what comes out")
    out.add_argument("--dry-run", action="store_true", help="list what would run, what is finished, how long it takes")
    out.add_argument("--no-estimate", action="store_true", help="do not time a few steps first")
    out.add_argument("--csv", type=Path, metavar="FILE", help="where the table goes (default data/sweeps/NAME.csv)")
    out.add_argument(
        "--keep", nargs="?", const="", metavar="FOLDER",
        help="also copy each record as it finishes, to be committed (default data/recorded/sweeps/NAME)",
    )  # fmt: skip
    sweep.set_defaults(function=sweep_command)


@dataclass
class Run:
    """A run of the sweep: the point asked for, its folder, whether it is finished, what it may take."""

    point: Point
    folder: Path
    state: str  # finished, begun, to make
    estimate: float | None = None  # seconds
    kept: Path | None = None  # where its record is copied to


def sweep_command(options: argparse.Namespace) -> int:
    """Run the grid; 0 if all of it has a record, 1 if something failed."""
    name, grid = _grid(options)
    asked = points(grid)
    cluster = _cluster(options)
    sweep_folder = data_dir() / "sweeps"
    csv = options.csv or sweep_folder / f"{name}.csv"
    keep = _keep_folder(options.keep, name)
    runs = _prepare(asked, keep, estimate=options.cluster == "local" and not options.no_estimate, options=options)
    missing = [run for run in runs if run.state != "finished"]
    if options.dry_run or missing:
        print(_plan(name, runs, cluster, listed=options.dry_run), file=sys.stdout if options.dry_run else sys.stderr)
    if options.dry_run:
        return 0
    failed = []
    with Keeper() as keeper:
        for run in runs:
            if run.state == "finished":
                keeper.keep(run)
        if missing:
            failed = _run(missing, sweep_folder / name / "jobs", cluster, options, finished=keeper.keep)
    _gather([run for run in runs if run.folder not in {run.folder for run, _ in failed}], csv)
    not_kept = keeper.report(keep)
    for run, job in failed:
        print(f"failed: {run.point.label}: {job.last_words()}\n  {job.log}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(runs)} runs failed; the same command tries them again", file=sys.stderr)
    return 1 if failed or not_kept else 0


# --- what is asked for -----------------------------------------------------------------------------


def _grid(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The sweep's name and grid: a file's, or one from the command line; flags replace what a file says."""
    given = {axis: getattr(options, axis) for axis in ("scale", "data", "seed") if getattr(options, axis)}
    changes = parse_lists(options.set)
    first = options.what[0]
    if first.endswith(".toml"):
        if len(options.what) > 1:
            raise SweepError(f"{first} and {options.what[1]}: one sweep file at a time, without experiments beside it")
        grid = read_sweep(Path(first))
        name = Path(first).stem
    else:
        grid = {"experiment": options.what}
        name = "-".join(options.what)
    plain = json.dumps(grid, sort_keys=True, default=str)
    grid = with_changes({**grid, **given}, changes)
    text = json.dumps(grid, sort_keys=True, default=str)
    if text != plain and (given or changes):  # not the sweep of that name: its table is another one
        name += f"-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return name, grid


def parse_lists(pairs: list[str]) -> dict[str, list[Any]]:
    """``["K=8,16", "word_dropout=token,element"]`` -> ``{"K": [8, 16], "word_dropout": ["token", "element"]}``."""
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not text:
            raise SweepError(f"--set {pair}: expected KEY=VALUE or KEY=VALUE,VALUE, e.g. K=8,16,32")
        if key in found:
            raise SweepError(f"--set {pair}: {key} is there twice; write {key}=VALUE,VALUE")
        found[key] = [_literal(part) for part in text.split(",")]
    return found


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _cluster(options: argparse.Namespace) -> Any:
    from vljepa_core.jobs import Cluster

    if options.jobs is not None and options.jobs < 1:
        raise SweepError(f"--jobs {options.jobs}: at least 1")
    told = {"partition": options.partition, "gpus_per_node": options.gpus, "cpus_per_task": options.cpus}
    told["time"] = None if options.time is None else minutes(options.time)
    told = {key: value for key, value in told.items() if value is not None}
    extra = {}
    for pair in options.slurm:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SweepError(f"--slurm {pair}: expected KEY=VALUE, e.g. account=me")
        extra[key.replace("-", "_")] = _literal(value)
    if options.cluster == "local":
        if told or extra:
            raise SweepError(f"{', '.join([*told, *extra])}: only with --cluster slurm")
        return Cluster("local", options.jobs or 1)
    if extra:
        told["additional_parameters"] = {key.replace("_", "-"): value for key, value in extra.items()}
    return Cluster("slurm", options.jobs or 256, told)


def minutes(text: str) -> int:
    """``90`` -> 90, ``1:30:00`` -> 90, rounded up."""
    try:
        parts = [int(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if len(parts) == 1 and parts[0] > 0:
        return parts[0]
    if len(parts) == 3 and min(parts) >= 0 and any(parts):
        return -(-(parts[0] * 3600 + parts[1] * 60 + parts[2]) // 60)
    raise SweepError(f"--time {text}: minutes, such as 90, or hours, minutes and seconds, such as 1:30:00")


def _keep_folder(asked: str | None, name: str) -> Path | None:
    from vljepa_core.records import RECORDED

    if asked is None:
        return None
    folder = Path(asked) if asked else RECORDED / "sweeps" / name
    if folder.resolve() == RECORDED.resolve():
        raise SweepError(f"--keep {asked}: changed runs would stand among the plain ones; name a folder in sweeps/")
    return folder


# --- before ----------------------------------------------------------------------------------------


def _prepare(asked: list[Point], keep: Path | None, estimate: bool, options: argparse.Namespace) -> list[Run]:
    """Recipes and data of all runs, checked; how long what is missing may take; where each is kept."""
    from vljepa_core import runs
    from vljepa_core.estimate import estimate_seconds
    from vljepa_core.records import path_of_run

    seen: dict[Path, Point] = {}
    places: dict[Path, Point] = {}
    times: dict[str, float | None] = {}  # seeds take the same time
    found = []
    threads = _cluster(options).threads
    for point in asked:
        prepared = runs.prepare(*point.place, progress=True, features=False, **point.changes)
        if (twin := seen.setdefault(prepared.folder, point)) is not point:
            raise SweepError(f"{twin.label} and {point.label} are the same run; leave one of them out")
        kept = None
        if keep is not None:
            kept = path_of_run(prepared.recipe.to_dict(), prepared.data, prepared.seed, keep)
            if (twin := places.setdefault(kept, point)) is not point:
                raise SweepError(f"{twin.label} and {point.label} would both be kept as {kept}")
        state = "to make"
        if runs.finished_record(prepared.folder) is not None:
            state = "finished"
        elif list(prepared.folder.glob("checkpoints/step-*")):
            state = "begun"
        run = Run(point, prepared.folder, state, kept=kept)
        if estimate and state != "finished":
            key = f"{prepared.recipe.to_json()} {len(prepared.examples['train'])} {len(prepared.examples['val'])}"
            if key not in times:
                times[key] = None
                try:
                    times[key] = estimate_seconds(runs.with_features(prepared, progress=True), options.device, threads)
                except failures() as error:  # so will the run say, and the others go on
                    print(f"{point.label}: no estimate, {error}", file=sys.stderr)
            run.estimate = times[key]
        found.append(run)
    return found


def _plan(name: str, runs: list[Run], cluster: Any, listed: bool) -> str:
    """What would run, as text."""
    from vljepa_core.estimate import human_time

    missing = [run for run in runs if run.state != "finished"]
    lines = []
    if listed:
        width = max(len(run.point.label) for run in runs)
        for run in runs:
            after = f"  about {human_time(run.estimate)}" if run.estimate is not None else ""
            after += " from its start" if after and run.state == "begun" else ""
            lines.append(f"{run.point.label:{width}}  {run.state}{after}")
    total = f"sweep {name}: {len(runs)} runs, {len(runs) - len(missing)} finished, {len(missing)} to make"
    if missing and all(run.estimate is not None for run in missing):
        seconds = sum(run.estimate for run in missing) / min(cluster.at_once, len(missing))
        total += f", about {human_time(seconds)} on this machine, {cluster.at_once} at a time"
    return "\n".join([*lines, total])


# --- during ----------------------------------------------------------------------------------------


def _run(
    missing: list[Run], folder: Path, cluster: Any, options: argparse.Namespace, finished: Callable[[Run], None]
) -> list[tuple[Run, Any]]:
    """Make what is missing, and tell of each run that has a record; returns those without, each with its job."""
    from tqdm import tqdm

    from vljepa_core import runs
    from vljepa_core.estimate import human_time
    from vljepa_core.jobs import Job, Work, run_jobs

    jobs: dict[str, Run] = {}
    todo = []
    for run in missing:
        work = Work(runs.run, *run.point.place, device=options.device, progress=True, **run.point.changes)
        job = Job(run.folder.name, work, lambda run=run: runs.finished_record(run.folder) is not None)
        jobs[job.name] = run
        todo.append(job)
    pace = Pace(missing, cluster.at_once)
    failed, now = [], []
    terminal = sys.stderr.isatty()
    bar = tqdm(
        total=len(missing),
        desc="sweep",
        unit="run",
        disable=not terminal,
        bar_format="{desc}: {n_fmt}/{total_fmt} |{bar:20}| {elapsed}{postfix}",
        leave=False,
    )
    try:
        with bar, closing(run_jobs(todo, folder, cluster)) as events:
            for event, job in events:
                if event == "started":
                    now.append(jobs[job.name].point.label)
                if event == "ended":
                    run = jobs[job.name]
                    now.remove(run.point.label)
                    good = job.finished()
                    if good:
                        finished(run)
                    pace.ended(run, job.seconds if good else None)
                    if not good:
                        failed.append((run, job))
                    bar.update()
                    result = runs.finished_record(run.folder).verdict["label"] if good else "FAILED"
                    line = f"{pace.done}/{len(missing)}  {run.point.label}: {result}  [{human_time(job.seconds)}"
                    line += f"; about {human_time(pace.left())} left]" if pace.left() else "]"
                    bar.write(line, file=sys.stderr)
                if terminal:
                    left = f"about {human_time(pace.left())} left, " if pace.left() else ""
                    text = f"{left}{', '.join(now[:3])}{f' and {len(now) - 3} more' if len(now) > 3 else ''}"
                    bar.set_postfix_str(text[: max(20, shutil.get_terminal_size().columns - 45)])
    except KeyboardInterrupt:
        if cluster.kind == "slurm":
            print("\nthe jobs go on; the same command finds them again, scancel ends them", file=sys.stderr)
            sys.exit(130)
        raise
    return failed


class Pace:
    """Time left: what was estimated, corrected by what the finished runs took; without estimates, their mean."""

    def __init__(self, missing: list[Run], at_once: int) -> None:
        self.todo = {run.folder: run.estimate for run in missing}
        self.at_once, self.done = at_once, 0
        self.took: list[tuple[float, float | None]] = []
        self.mark = time.monotonic()

    def ended(self, run: Run, seconds: float | None) -> None:
        """A run has ended after so many seconds; None if it failed, which says nothing about the others."""
        estimate = self.todo.pop(run.folder)
        self.done, self.mark = self.done + 1, time.monotonic()
        if seconds is not None:
            self.took.append((seconds, estimate))

    def left(self) -> float | None:
        """Seconds; None if nothing is known, or nothing is left."""
        if not self.todo or not self.took and None in self.todo.values():
            return None
        if None in self.todo.values():
            total = len(self.todo) * sum(seconds for seconds, _ in self.took) / len(self.took)
        else:
            known = [pair for pair in self.took if pair[1] is not None]
            spent, expected = (sum(pair[i] for pair in known) for i in (0, 1))
            total = sum(self.todo.values()) * (spent / expected if known else 1)
        return max(0.0, total / min(self.at_once, len(self.todo)) - (time.monotonic() - self.mark))


# --- after -----------------------------------------------------------------------------------------


class Keeper:
    """Copies records of finished runs to where they are committed, beside the runs, which do not wait for it.

    A copy takes the floors of its data with it, which may take as long as a small run. One that can't be written does
    not stop the others.
    """

    def __init__(self) -> None:
        self._copying: list[tuple[Run, Future]] = []
        self._thread = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: Any) -> None:
        self._thread.shutdown()

    def keep(self, run: Run) -> None:
        """Begin to copy a finished run's record, if that was asked for."""
        if run.kept is not None:
            self._copying.append((run, self._thread.submit(_keep, run)))

    def report(self, folder: Path | None) -> int:
        """Say how many copies there are, and what came between; returns how many could not be written."""
        failed = 0
        for run, copy in self._copying:
            if error := copy.exception():
                failed += 1
                print(f"not kept: {run.point.label}: {error}", file=sys.stderr)
        if self._copying:
            print(f"kept: {len(self._copying) - failed} records in {folder}", file=sys.stderr)
        return failed


def _keep(run: Run) -> None:
    from vljepa_core.keeping import keep_run
    from vljepa_core.records import read_record
    from vljepa_core.runs import prepare

    prepared = prepare(*run.point.place, features=False, **run.point.changes)
    keep_run(read_record(run.folder / "record.json"), prepared, run.kept)


def _gather(runs: list[Run], csv: Path) -> None:
    """One table of all, to the terminal and to a file."""
    from vljepa_core.records import read_record

    records = [read_record(run.folder / "record.json") for run in runs]
    if not records:
        return
    write_atomically(csv, sweep_table(records).to_csv(index=False).encode())
    labels = [run.point.label for run in runs]
    print(terminal_table(records, labels, shutil.get_terminal_size((120, 24)).columns))
    print(f"table: {csv}", file=sys.stderr)


def terminal_table(records: list[Any], labels: list[str], width: int) -> str:
    """One row per run, all metrics as ``value [low, high]``, seconds and commit; in blocks of at most ``width``."""
    import pandas as pd

    def cell(metric: dict[str, Any] | None) -> str:
        if metric is None:
            return ""
        value, low, high = (x if x is None else f"{x:.4g}" for x in (metric["value"], metric["low"], metric["high"]))
        return f"{value} [{low}, {high}]" if low is not None else value

    names = list(dict.fromkeys(name for record in records for name in record.metrics))
    rows = [
        {
            "verdict": r.verdict["label"],
            **{name: cell(r.metrics.get(name)) for name in names},
            "seconds": f"{r.provenance['seconds']:.0f}",
            "commit": r.provenance["commit"][:9] + "+" * r.provenance["dirty"],
        }
        for r in records
    ]
    return pd.DataFrame(rows, index=labels).to_string(line_width=width, justify="left")
