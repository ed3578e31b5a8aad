"""How long a run will take on this machine, from a few timed steps of it."""

from __future__ import annotations

import statistics
import time

import torch

from vljepa_core.runs import Prepared
from vljepa_core.train import Trainer, choose_device, steps_of

TIMED_STEPS = 3
NOT_LOOKED_AT = 2**40 + 1  # the first step of a run, and those whose number is a power of 2, also look at the model
# Validations, and a final evaluation of a quarter (Run 4 at laptop, one thread); a blind twin takes less.
VALIDATION_SHARE = 1.4


def estimate_seconds(run: Prepared, device: str | None = None, threads: int | None = None) -> float:
    """Seconds of training and evaluation of a run from its start (a checkpoint would shorten it).

    ``threads``: of the CPU, that the run will have (``side_by_side.threads_each``); by default those of this process.
    """
    here = torch.get_num_threads()
    torch.set_num_threads(threads or here)
    try:
        return _timed(run, device) * steps_of(run.recipe, len(run.examples["train"])) * VALIDATION_SHARE
    finally:
        torch.set_num_threads(here)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # for the runs, which may be processes of their own


def _timed(run: Prepared, device: str | None) -> float:
    """Seconds of a training step."""
    trainer = Trainer(run.recipe, run.examples, run.seed, choose_device(device))
    trainer.progress.step = NOT_LOOKED_AT
    trainer.step()  # the first step also allocates
    seconds = []
    for _ in range(TIMED_STEPS):
        _wait(trainer.device)
        started = time.monotonic()
        trainer.step()
        _wait(trainer.device)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def human_time(seconds: float) -> str:
    """``42 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
