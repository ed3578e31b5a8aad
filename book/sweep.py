"""Run one notebook over a grid of its parameters, here or on a SLURM cluster; each as book/execute.py runs it.

    python book/sweep.py notebooks/03_run2.py build/sweep -p scale smoke -p seed 0,1,2

writes build/sweep/03_run2-scale=smoke-seed=0.ipynb and so on. What the notebooks train they load if it is there, so a
sweep that was stopped goes on when it is given again.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from vljepa_core.jobs import Cluster, Job, JobsError, Work, run_jobs

EXECUTE = Path(__file__).with_name("execute.py")


def grid(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    """``[("scale", "smoke"), ("seed", "0,1")]`` -> two sets of parameters; ValueError for one that is there twice."""
    axes: dict[str, list[str]] = {}
    for name, text in pairs:
        values = text.split(",")
        if name in axes or len(set(values)) < len(values) or "" in values:
            raise ValueError(f"-p {name} {text}: each parameter once, each value once, none empty")
        axes[name] = values
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("folder", type=Path, help="where the executed notebooks go; failures and logs in it as well")
    parser.add_argument("-p", dest="pairs", nargs=2, action="append", default=[], metavar=("NAME", "VALUE,VALUE"))
    parser.add_argument("--cluster", choices=("local", "slurm"), default="local")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="notebooks at a time (default 1)")
    parser.add_argument("--partition", help="SLURM: partition")
    args = parser.parse_args()

    began = time.time()
    try:
        jobs = []
        for parameters in grid(args.pairs):
            label = "-".join([args.notebook.stem, *(f"{name}={value}" for name, value in parameters.items())])
            target = args.folder / f"{re.sub(r'[^A-Za-z0-9=._-]+', '_', label)}.ipynb"
            command = [sys.executable, EXECUTE, args.notebook, target, "--failed", args.folder / "failed" / target.stem]
            command += [part for name, value in parameters.items() for part in ("-p", name, value)]
            work = Work(subprocess.run, [str(part) for part in command], check=True)
            jobs.append(Job(label, work, lambda target=target: target.exists() and target.stat().st_mtime >= began))
        slurm = {"partition": args.partition} if args.partition else {}
        failed = []
        with closing(run_jobs(jobs, args.folder / "jobs", Cluster(args.cluster, args.jobs, slurm))) as events:
            for event, job in events:
                if event == "ended":
                    failed += [] if job.finished() else [job]
                    print(f"{job.name}: {'done' if job not in failed else 'FAILED'}, {job.seconds:.0f} s", flush=True)
    except (ValueError, JobsError) as error:
        sys.exit(f"error: {error}")
    if failed:
        sys.exit("\n".join(f"failed: {job.name}: {job.log}" for job in failed))


if __name__ == "__main__":
    main()
