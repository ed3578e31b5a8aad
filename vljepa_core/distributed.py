"""One run on several processes, started by torchrun: each computes its rows of every batch, all make the same step.

    torchrun --nproc_per_node=2 -m vljepa_core run run2

The loss is that of the whole batch. Each process computes its terms of it (``objectives``), so gradients and reported
numbers are sums over processes, taken once per step in one transfer; weights and optimiser are the same everywhere and
are never sent. Process 0 alone validates, writes and speaks. Alone, every function here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
# How long the others wait for process 0, which may be waiting for another run's lock. One that dies is noticed at once.
PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Part:
    """What a process computes of a batch: ``share`` of the terms of its mean; ``rows``: of the whole batch."""

    rows: int
    share: float


WHOLE = Part(rows=0, share=1.0)  # of a batch that is not shared; nobody asks for its rows


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ["RANK"]) if _launched() else 0


def size() -> int:
    """How many processes make this run."""
    return dist.get_world_size() if dist.is_initialized() else int(os.environ["WORLD_SIZE"]) if _launched() else 1


def _launched() -> bool:
    return dist.is_available() and dist.is_torchelastic_launched()


def join(device: torch.device) -> torch.device:
    """Meet the other processes, if there are any; returns the device that is this one's: its own GPU, or the CPU.

    Raises:
        ValueError: more processes than GPUs on this machine, or a device that can't be shared.
    """
    if size() == 1:
        return device
    if device.type == "cuda":
        local, gpus = int(os.environ.get("LOCAL_RANK", rank())), torch.cuda.device_count()
        if local >= gpus:
            raise ValueError(f"process {local + 1} on a machine with {gpus} GPUs: torchrun --nproc_per_node={gpus}")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise ValueError(f"device {device.type!r}: several processes need cuda or cpu; add --device cpu")
    if not dist.is_initialized():
        _with_others(lambda: dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE))
    return device


def leave() -> None:
    """Say goodbye to the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rows_of_mine(index: np.ndarray) -> np.ndarray:
    """This process's part of a batch.

    Raises:
        ValueError: fewer examples than processes.
    """
    if len(index) < size():
        raise ValueError(
            f"a batch of {len(index)} examples (the last of an epoch is what remains) for {size()} processes: "
            "use fewer, or another batch_size or n_train"
        )
    return np.array_split(index, size())[rank()]


def draw_own_dropout(seed: int, step: int) -> None:
    """Other masks than process 0's, whose random state is in the checkpoint: a function of seed, process and step."""
    if rank() > 0:
        torch.manual_seed(int(np.random.SeedSequence([seed, 11, rank(), step]).generate_state(1, np.uint64)[0] >> 1))


def rows_of_all(mine: Tensor, part: Part) -> Tensor:
    """The rows (B_r, ...) of all processes, in order: (B, ...). Gradients flow into this process's own rows only.

    For a function that is symmetric in the rows, that is their whole gradient: the others compute theirs.
    """
    if size() == 1:
        return mine
    counts = [len(rows) for rows in np.array_split(np.arange(part.rows), size())]
    padded = mine.new_zeros(counts[0], *mine.shape[1:], dtype=torch.float32)  # the first has most rows
    padded[: len(mine)] = mine.detach()
    parts = [torch.empty_like(padded) for _ in counts]
    _with_others(lambda: dist.all_gather(parts, padded))
    parts = [rows[:n].to(mine.dtype) for rows, n in zip(parts, counts, strict=True)]
    parts[rank()] = mine
    return torch.cat(parts)


def shared(parameter: Tensor) -> Tensor:
    """A number that every process uses in its loss of the whole batch: its value, and one share of its gradient.

    The gradients of all processes are summed, and each computes the whole of this one.
    """
    return parameter if size() == 1 else parameter.detach() + (parameter - parameter.detach()) / size()


@torch.no_grad()
def sum_over_processes(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over all processes: one transfer, the same bits everywhere."""
    if size() == 1:
        return
    flat = torch.cat([t.reshape(-1).float() for t in tensors])
    _with_others(lambda: dist.all_reduce(flat))
    for t, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        t.copy_(total.view_as(t))


def agree(decision: bool = False) -> bool:
    """What process 0 has decided. The others wait for it here."""
    if size() == 1:
        return decision
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else "cpu"
    told = torch.tensor([decision], dtype=torch.int32, device=device)
    _with_others(lambda: dist.broadcast(told, src=0))
    return bool(told)


def _with_others(call: Callable[[], T]) -> T:
    try:
        return call()
    except RuntimeError as error:  # includes those that torch.distributed defines
        raise ConnectionError(
            f"process {rank()} of {size()} has lost the others: one has ended (its own message says why), so all stop; "
            f"the same command goes on from the last checkpoint ({str(error).strip().splitlines()[0]})"
        ) from error
