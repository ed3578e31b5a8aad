"""Work in processes of its own, on this machine or on a SLURM cluster, through submitit: the same call for both.

A job counts as done when what it should leave is there (``Job.finished``). submitit hands the work to its process in a
pickle that it wrote a moment before; nothing that a job has made is ever read from a pickle, and both kinds are removed
when the job has ended.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit
from submitit.helpers import Checkpointable

from vljepa_core.files import writable, write_atomically
from vljepa_core.side_by_side import threads_each, visible_gpus

A_YEAR = 365 * 24 * 60  # minutes: submitit ends local jobs after a few, unless told otherwise
POLL_SECONDS = {"local": 0.5, "slurm": 5.0}


class JobsError(ValueError):
    """Jobs can't be run as asked; the message says what to do."""


class Work(Checkpointable):
    """A call whose result nobody reads. SLURM may end it and start it again: it must go on from what it left."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        self.function, self.arguments, self.named = function, arguments, named

    def __call__(self) -> None:
        self.function(*self.arguments, **self.named)


@dataclass(eq=False)
class Job:
    """Work with a name of its own, and the test whether what it should leave is there."""

    name: str
    work: Work
    finished: Callable[[], bool]
    handle: submitit.Job | None = None
    started: float = 0.0  # time.monotonic()
    seconds: float = 0.0

    @property
    def log(self) -> Path:
        """What it printed, both streams."""
        return self.handle.paths.stdout

    def last_words(self) -> str:
        """The last line of its log: of an exception, the message."""
        try:
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return "no log"
        if any("Exiting after successful completion" in line for line in lines[-2:]):
            return "it ended well, but not with what is asked for: has the code been changed since the sweep began?"
        lines = [line for line in lines if not line.startswith(("srun: ", "slurmstepd: "))] or lines
        return lines[-1].split("\r")[-1].strip() if lines else "an empty log"


@dataclass(frozen=True)
class Cluster:
    """Where jobs run: ``local`` or ``slurm``, how many at a time, and what SLURM is to be told.

    ``slurm`` holds submitit's names: partition, time (minutes), gpus_per_node, cpus_per_task, mem, account, ...
    """

    kind: str = "local"
    at_once: int = 1
    slurm: dict[str, Any] = field(default_factory=dict)

    @property
    def threads(self) -> int | None:
        """CPU threads of one of several local jobs; None: as PyTorch finds best."""
        return threads_each(self.at_once) if self.kind == "local" else None


def run_jobs(jobs: Sequence[Job], folder: Path, cluster: Cluster) -> Iterator[tuple[str, Job | None]]:
    """Run all jobs; yields ``("started", job)``, ``("ended", job)``, and ``("waiting", None)`` several times a minute.

    Local jobs end with this process (Ctrl-C, SIGTERM). SLURM's go on without it, and are found again by the next call
    with the same folder.

    Args:
        folder: for submitit's files and the logs.

    Raises:
        JobsError: no SLURM here, or SLURM refuses.
    """
    writable(folder)
    with _heard_terminations():
        yield from (_run_local if cluster.kind == "local" else _run_slurm)(jobs, folder, cluster)


def _run_local(jobs: Sequence[Job], folder: Path, cluster: Cluster) -> Iterator[tuple[str, Job | None]]:
    executor = submitit.LocalExecutor(folder)
    executor.update_parameters(timeout_min=A_YEAR, stderr_to_stdout=True)
    gpus, slots = _gpus(), list(range(cluster.at_once))
    waiting, running = list(jobs), {}
    environment = {"OMP_NUM_THREADS": str(threads)} if (threads := cluster.threads) else {}
    try:
        while waiting or running:
            while waiting and slots:
                job, slot = waiting.pop(0), slots.pop(0)
                if gpus:  # one each; without this, submitit hides them all
                    executor.update_parameters(gpus_per_node=1, visible_gpus=[gpus[slot % len(gpus)]])
                with submitit.helpers.environment_variables(**environment), _heard_interrupts():
                    job.handle = executor.submit(job.work)
                job.started, running[slot] = time.monotonic(), job
                yield "started", job
            for slot, job in list(running.items()):
                if job.handle.done():
                    del running[slot]
                    slots.append(slot)
                    _tidy(job)
                    yield "ended", job
            yield "waiting", None
            time.sleep(POLL_SECONDS["local"])
    finally:
        for job in running.values():
            job.handle.cancel()
        for job in running.values():
            while not job.handle.done():
                time.sleep(0.05)
            _tidy(job)


@contextmanager
def _heard_terminations() -> Iterator[None]:
    """SIGTERM, what `kill` sends, ends this process as Ctrl-C does, and not before it has ended its jobs."""
    if threading.current_thread() is not threading.main_thread():  # others may set no handler
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _heard_interrupts() -> Iterator[None]:
    """Processes that are started meanwhile can be interrupted, which is how submitit cancels them.

    They ignore what their parent ignores, and shells have a command in the background ("&") ignore SIGINT.
    """
    main = threading.current_thread() is threading.main_thread()  # others may set no handler
    ignored = main and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _gpus() -> list[int]:
    """The GPUs that local jobs may use; submitit wants numbers."""
    found = visible_gpus()
    if not all(name.isdigit() for name in found):
        raise JobsError(f"CUDA_VISIBLE_DEVICES={','.join(found)}: give numbers, such as 0,1")
    return [int(name) for name in found]


def _run_slurm(jobs: Sequence[Job], folder: Path, cluster: Cluster) -> Iterator[tuple[str, Job | None]]:
    for program in ("sbatch", "srun", "squeue"):
        if shutil.which(program) is None:
            raise JobsError(
                f"--cluster slurm: there is no {program} here; give the command on a login node of the cluster, "
                "or use --cluster local"
            )
    noted = folder / "slurm-jobs.json"  # name -> job id: those of an earlier call may still be queued or running
    ids = json.loads(noted.read_text()) if noted.exists() else {}
    queued = _queued() if ids else set()
    new = []
    for job in jobs:
        if ids.get(job.name) in queued:
            job.handle = submitit.SlurmJob(folder, ids[job.name])
        else:
            new.append(job)
    for ended in set(ids.values()) - queued:  # while no sweep was looking
        _remove_pickles(submitit.SlurmJob(folder, ended))
    if new:
        executor = submitit.SlurmExecutor(folder)
        executor.update_parameters(
            **{"job_name": folder.parent.name, "time": 24 * 60, **cluster.slurm},
            array_parallelism=cluster.at_once,
            stderr_to_stdout=True,
        )
        try:
            with executor.batch():
                handles = [executor.submit(job.work) for job in new]
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise JobsError(f"SLURM refused the jobs: {str(error).strip()}") from error
        for job, handle in zip(new, handles, strict=True):
            job.handle = handle
        write_atomically(noted, json.dumps(ids | {job.name: job.handle.job_id for job in jobs}, indent=1).encode())
    running, gone = list(jobs), set()
    for job in running:
        job.started = time.monotonic()
        yield "started", job
    while running:
        yield "waiting", None
        time.sleep(POLL_SECONDS["slurm"])
        try:
            queued = _queued()
        except JobsError:
            continue  # a controller that is busy now answers later
        for job in [job for job in running if job.handle.job_id not in queued]:
            if job not in gone:  # judged at the next look: a shared file system shows its files late
                gone.add(job)
                continue
            running.remove(job)
            _tidy(job)
            yield "ended", job


def _queued() -> set[str]:
    """Ids of this user's SLURM jobs that are waiting or running, array tasks one by one (sacct needs a database)."""
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise JobsError(f"squeue: {found.stderr.strip()}")
    return set(found.stdout.split())


def _tidy(job: Job) -> None:
    job.seconds = time.monotonic() - job.started
    _remove_pickles(job.handle)


def _remove_pickles(handle: submitit.Job) -> None:
    for left in (handle.paths.submitted_pickle, handle.paths.result_pickle):
        left.unlink(missing_ok=True)
