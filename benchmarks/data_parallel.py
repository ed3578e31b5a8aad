"""Two processes under torchrun, one CPU thread each, beside one process with one thread: same steps, same batch.

    python benchmarks/data_parallel.py [--experiment run2] [--scale laptop] [--steps 30] [--rounds 5] [--json FILE]

In every round, each in processes of their own: one process; two that share every batch; two that have nothing to do
with each other and take half a batch each. The last are what the machine's two cores have to give just then: what the
two lose against them is the price of working together. Speed-up and efficiency are taken within a round, and stand
with their least and most.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

WARM_UP = 5


def worker(options: argparse.Namespace) -> None:
    """Time steps; process 0 prints the median, and that of the transfer alone, in seconds."""
    import torch

    from vljepa_core import distributed, runs
    from vljepa_core.train import Trainer

    torch.set_num_threads(1)
    changes = {} if options.batch is None else {"batch_size": options.batch}
    run = runs.prepare(options.experiment, options.scale, "scenes", 0, **changes)
    device = distributed.join(torch.device("cpu"))
    trainer = Trainer(run.recipe, run.examples, 0, device)
    for _ in range(WARM_UP):
        trainer.step()
    seconds = []
    for _ in range(options.steps):
        started = time.perf_counter()
        trainer.step()
        seconds.append(time.perf_counter() - started)
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    transfers = []
    for _ in range(20):
        started = time.perf_counter()
        distributed.sum_over_processes(gradients)
        transfers.append(time.perf_counter() - started)
    if distributed.rank() == 0:
        numbers = sum(g.numel() for g in gradients)
        found = {"step": statistics.median(seconds), "transfer": statistics.median(transfers), "bytes": 4 * numbers}
        print(json.dumps({**found, "batch": run.recipe.batch_size, "commit": runs.provenance.commit()}))
    distributed.leave()


def measure(way: str, options: argparse.Namespace, data: str, batch: int) -> dict:
    """One way, once; of two unconnected processes the slower one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLJEPA_DATA": data}
    command = [str(Path(__file__)), "--worker", "--experiment", options.experiment, "--scale", options.scale]
    command += ["--steps", str(options.steps)]
    if way == "together":
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *command]
    if way == "apart":
        command += ["--batch", str(batch // 2)]
    processes = [
        subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2 if way == "apart" else 1)
    ]
    found = []
    for process in processes:
        out, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{way}: a process ended with status {process.returncode}")
        found.append(json.loads(out.splitlines()[-1]))
    return max(found, key=lambda each: each["step"])


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="run2")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks/data_parallel.json"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return

    from vljepa_core.files import write_atomically
    from vljepa_core.provenance import versions
    from vljepa_core.recipes import recipe

    batch = recipe(options.experiment, options.scale).batch_size
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    rounds = []
    with tempfile.TemporaryDirectory() as scratch:
        data = os.environ.get("VLJEPA_DATA", scratch)
        measure("alone", argparse.Namespace(**{**vars(options), "steps": 1}), data, batch)  # draws the scenes
        for number in range(options.rounds):
            found = {way: measure(way, options, data, batch) for way in ("alone", "together", "apart")}
            rounds.append(found)
            steps = ", ".join(f"{way} {1e3 * each['step']:.0f} ms" for way, each in found.items())
            print(f"round {number + 1}: {steps}", flush=True)
    speedup = [r["alone"]["step"] / r["together"]["step"] for r in rounds]
    result = {
        "what": f"an optimiser step of {options.experiment} at {options.scale}, batch {batch}; {options.steps} a round",
        "seconds": {way: spread([r[way]["step"] for r in rounds]) for way in rounds[0]},
        "speedup of two processes": spread(speedup),
        "efficiency": spread([s / 2 for s in speedup]),
        "speedup of two that share nothing": spread([r["alone"]["step"] / r["apart"]["step"] for r in rounds]),
        "transfer seconds per step": spread([r["together"]["transfer"] for r in rounds]),
        "transfer bytes per step": rounds[0]["together"]["bytes"],
        "rounds": len(rounds),
        "threads per process": 1,
        "commit": rounds[0]["alone"]["commit"][0],
        "dirty": rounds[0]["alone"]["commit"][1],
        "machine": {"processor": processor(), "cores": os.cpu_count(), "load before": load},
        "versions": versions(),
    }
    write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())
    for name in ("speedup of two processes", "efficiency", "speedup of two that share nothing"):
        value = result[name]
        print(f"{name}: {value['median']:.2f} ({value['least']:.2f} to {value['most']:.2f})")
    transfer = result["transfer seconds per step"]["median"]
    print(f"transfer: {1e3 * transfer:.1f} ms for {result['transfer bytes per step'] / 2**20:.1f} MiB\n{options.json}")


def processor() -> str:
    """The CPU's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
