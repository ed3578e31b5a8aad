"""Several runs at a time on one machine, each in a process and with threads of its own.

A small model leaves cores waiting for each other at every operation: on two cores, two runs of one thread each finish
sooner than one after the other on two threads; and it leaves a GPU waiting for the core that issues its operators, so
that several runs have room on it (benchmarks/PROFILE.md). Which of the runs is done is seen from their
records, so a killed build goes on like any other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from tqdm import tqdm

from vljepa_core.datasets.workers import cpus

POLL_SECONDS = 0.2
LINES_OF_A_FAILURE = 15


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them: by numbers, or by longer names."""
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    names = [name.strip() for name in listed.split(",")]
    return names[: names.index("-1")] if "-1" in names else [name for name in names if name]  # -1 ends the list


def gpus_to_share(device: str) -> list[str]:
    """Where several runs on a device go: on all visible GPUs for ``cuda``, where that is; none to choose elsewhere."""
    return visible_gpus() if device == "cuda" else []


def threads_each(runs: int) -> int | None:
    """CPU threads of each of several runs at a time: its share of the CPUs that this process may use.

    None, for as PyTorch finds best: of a run alone, and where OMP_NUM_THREADS says it already.
    """
    return None if runs == 1 or "OMP_NUM_THREADS" in os.environ else max(1, cpus() // runs)


def side_by_side(names: Sequence[str], commands: Sequence[Sequence[str]], jobs: int, gpus: Sequence[str] = ()) -> int:
    """Run the commands, ``jobs`` at a time in order, and print what each printed when it has ended.

    Each sees one of the ``gpus``, where there are any: that on which fewest others are running.

    Whoever stops this process stops them: they go on from their checkpoints the next time. One that fails doesn't stop
    the others.

    Returns:
        How many failed; the end of what they said is on stderr.
    """
    waiting = list(zip(names, commands, strict=True))
    running: list[tuple[str, subprocess.Popen, IO[str], str | None]] = []
    failed = 0
    environment = {**os.environ, "VLJEPA_QUIET": "1"}
    if (threads := threads_each(jobs)) is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    bar = tqdm(total=len(waiting), unit="run", mininterval=0.5 if sys.stderr.isatty() else 30, leave=False)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name, command = waiting.pop(0)
                said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed when its process has ended
                taken = [gpu for *_, gpu in running]
                gpu = min(gpus, key=taken.count, default=None)
                own = environment if gpu is None else {**environment, "CUDA_VISIBLE_DEVICES": gpu}
                running.append((name, subprocess.Popen(command, stdout=said, stderr=said, env=own), said, gpu))
                bar.set_postfix_str(", ".join(n for n, *_ in running))
            time.sleep(POLL_SECONDS)
            bar.refresh() if sys.stderr.isatty() else None
            for entry in [entry for entry in running if entry[1].poll() is not None]:
                running.remove(entry)
                name, process, said, _ = entry
                said.seek(0)
                lines = said.read().splitlines()
                said.close()
                bar.update()
                if process.returncode == 0:
                    bar.write(lines[-1] if lines else name)
                else:
                    failed += 1
                    end = "\n  ".join(lines[-LINES_OF_A_FAILURE:])
                    bar.write(f"{name}: failed (exit code {process.returncode})\n  {end}", file=sys.stderr)
    finally:
        for _, process, said, _ in running:
            process.terminate()
            said.close()
        for _, process, *_ in running:
            process.wait()
        bar.close()
        signal.signal(signal.SIGTERM, before)
    return failed
