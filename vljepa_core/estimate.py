"""How long a run will take on this machine, from a few timed steps of it."""

from __future__ import annotations

import statistics
import time

import torch

from vljepa_core.runs import Prepared
from vljepa_core.train import Trainer, choose_device, steps_of

TIMED_STEPS = 7  # of which 1, 2 and 4 are on the timeline and take longer: fewer than half
# Validations, and a final evaluation of a quarter (Run 4 at laptop, one thread); a blind twin takes less.
VALIDATION_SHARE = 1.4


def estimate_seconds(run: Prepared, device: str | None = None) -> float:
    """Seconds of training and evaluation of a run from its start (a checkpoint would shorten it)."""
    trainer = Trainer(run.recipe, run.examples, run.seed, choose_device(device))
    trainer.step()  # the first step also allocates
    seconds = []
    for _ in range(TIMED_STEPS):
        _wait(trainer.device)
        started = time.monotonic()
        trainer.step()
        _wait(trainer.device)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds) * steps_of(run.recipe, len(run.examples["train"])) * VALIDATION_SHARE


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def human_time(seconds: float) -> str:
    """``42 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
