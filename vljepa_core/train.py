"""The one training loop, for captioning and classification, on any device, that can be killed at any step.

The order of an epoch's examples depends on (seed, epoch) alone and everything else that moves is in the
checkpoint, so a resumed run ends with the same bits as an uninterrupted one (on the CPU, with the same
number of threads).
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vljepa_core import distributed
from vljepa_core.checkpoints import load_checkpoint, save_checkpoint
from vljepa_core.datasets.selection import Examples
from vljepa_core.distributed import Part
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import objective
from vljepa_core.recipes import Recipe
from vljepa_core.resident import Resident, TrainingResident

CHECKPOINT_SECONDS = 60.0


@dataclass
class Trained:
    """A trained model, what it cost, and its history: a row per validated epoch from 0, no wall-clock times in it.

    The timeline holds finer and cheaper rows, early in training above all: see ``on_timeline``.
    """

    model: VLJEPA
    history: list[dict[str, float]]
    timeline: list[dict[str, float]]
    steps: int
    seconds: float


@dataclass
class Progress:
    """Where a run is: everything but tensors that a resumed run needs."""

    epoch: int = 0
    position: int = 0  # examples of this epoch already used
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    timeline: list[dict[str, float]] = field(default_factory=list)


def choose_device(name: str | None = None) -> torch.device:
    """``cuda``, ``mps`` or ``cpu`` as asked, or the best there is."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name!r}: PyTorch sees no CUDA GPU here; use --device cpu, or leave it out")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps': PyTorch sees no Apple GPU here; use --device cpu, or leave it out")
    return torch.device(name)


def cpu_multiplies_in_bfloat16() -> bool:
    """Whether this CPU has instructions for it (AVX-512 BF16 or AMX). Without them bfloat16 takes up to ten times as
    long as float32. False where PyTorch is too old to say."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in asked)


def precision_of(recipe: Recipe, device: torch.device) -> str:
    """``float32`` or ``bfloat16``, in which a recipe is trained on this device.

    As the recipe says, but in float32 on a CPU that does not multiply in bfloat16, and on mps; ``auto`` is bfloat16 on
    CUDA alone.
    """
    if recipe.precision == "auto":
        return "bfloat16" if device.type == "cuda" else "float32"
    if device.type == "mps" or (device.type == "cpu" and not cpu_multiplies_in_bfloat16()):
        return "float32"
    return recipe.precision


def autocast(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager:
    """The arithmetic of forward passes on this device; weights and their updates stay float32.

    In bfloat16 it is the matrix products, and what lies between two of them, that are rounded; the residual stream,
    the loss and the gradients that the optimiser sees are float32.
    """
    if precision_of(recipe, device) == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def compiled(loss: Callable, device: torch.device) -> Callable:
    """The loss through ``torch.compile``: fused kernels; on CUDA, where shapes are static, replayed as CUDA graphs.

    Raises:
        ValueError: several processes. A process's share of a batch differs from step to step; each would be compiled.
    """
    if distributed.size() > 1:
        raise ValueError("compile=True on several processes: leave it out, or use one process")
    return torch.compile(loss, dynamic=False, mode="reduce-overhead" if device.type == "cuda" else "default")


def learning_rate_at(recipe: Recipe, epoch: int) -> float:
    """Learning rate of an epoch (from 0): linear warm-up, then cosine towards 0, both stepped once per epoch."""
    if epoch < recipe.warmup_epochs:
        return recipe.learning_rate * (epoch + 1) / recipe.warmup_epochs
    share = (epoch - recipe.warmup_epochs) / max(1, recipe.epochs - recipe.warmup_epochs)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """Order of the n examples in an epoch; a function of seed and epoch alone."""
    return np.random.default_rng([seed, 7, epoch]).permutation(n)


def steps_of(recipe: Recipe, n_train: int) -> int:
    """Optimiser steps of a whole run; the last, smaller batch of an epoch counts."""
    return recipe.epochs * math.ceil(n_train / recipe.batch_size)


def parameter_groups(model: VLJEPA, encoder_rate: float) -> list[dict[str, Any]]:
    """All parameters as one group; or, where its learning rate is another, those of the visual encoder as a second.

    ``rate`` is what a group's learning rate is multiplied by.
    """
    if encoder_rate == 1 or model.visual_encoder is None:
        return [{"params": list(model.parameters()), "rate": 1.0}]
    encoder = list(model.visual_encoder.parameters())
    own = {id(q) for q in encoder}
    rest = [q for q in model.parameters() if id(q) not in own]
    return [{"params": rest, "rate": 1.0}, {"params": encoder, "rate": encoder_rate}]


def on_timeline(step: int) -> bool:
    """Whether the weights after this many steps are looked at: 0, 1, 2, 4, 8, ... A collapse may take one epoch."""
    return step & (step - 1) == 0


class Trainer:
    """Model, optimiser and position of one run; ``step`` at a time, so that it can be timed and tested."""

    def __init__(self, recipe: Recipe, examples: dict[str, Examples], seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)  # initial weights and dropout; order and sampling have seeds of their own
        self.recipe, self.seed, self.device = recipe, seed, device
        self.model = VLJEPA(recipe).to(device)
        self.train_data = TrainingResident(
            examples["train"],
            device,
            recipe.plan_source,
            words=recipe.align_weight > 0 or recipe.words_weight > 0,
            every_caption=recipe.captions == "all",
            augment=recipe.augment,
            max_length=recipe.max_length,
        )
        self.objective = objective(recipe, Resident(examples["val"], device, recipe.plan_source))
        self.loss = compiled(self.objective.loss, device) if recipe.compile else self.objective.loss
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.model, recipe.encoder_rate),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self.progress = Progress()
        self.sums: dict[str, Tensor] = {}  # this epoch's reported parts, float64, read once per epoch
        self.best: dict[str, Tensor] = {}  # with keep_best: the weights with the lowest validation loss so far
        self.model.train()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch >= self.recipe.epochs

    def step(self) -> None:
        """One optimiser step; after the last batch of an epoch, validation and a row of history."""
        p = self.progress
        if p.step == 0:
            self._add_to_history({})  # epoch 0: what random weights give
        watched = on_timeline(p.step) and distributed.rank() == 0
        if watched:
            with autocast(self.recipe, self.device):
                p.timeline.append({"step": p.step, **self.objective.glance(self.model)})
        if p.position == 0:
            self._begin_epoch()
            if self.model.auxiliary is not None:  # not in _begin_epoch: a resumed run calls that amid an epoch
                self.model.auxiliary.begin_epoch()
        order = epoch_order(len(self.train_data), self.seed, p.epoch)
        index = order[p.position : p.position + self.recipe.batch_size]
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(self.recipe, p.epoch) * group["rate"]
        rows = distributed.rows_of_mine(index)
        mine = Part(len(index), self.train_data.targets(rows) / self.train_data.targets(index))
        distributed.draw_own_dropout(self.seed, p.step)
        with autocast(self.recipe, self.device):
            loss, parts = self.loss(self.model, *self.train_data.batch(rows), mine)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [q.grad for q in self.model.parameters() if q.grad is not None]
        distributed.sum_over_processes([*gradients, *parts.values()])
        encoder = [] if self.model.visual_encoder is None else [*self.model.visual_encoder.parameters()]
        encoder = [q.grad for q in encoder if q.grad is not None]
        if encoder:
            parts["encoder_grad_norm"] = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(encoder)))
            if watched:
                p.timeline[-1]["encoder_grad_norm"] = float(parts["encoder_grad_norm"])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip)
        self.optimiser.step()

        for name, value in parts.items():
            # Mean over batches, as the study reports it. float64 isn't to be had on mps.
            value = value if self.device.type == "mps" else value.double()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        p.position += len(index)
        p.step += 1
        if p.position == len(self.train_data):
            self._end_epoch()

    def _begin_epoch(self) -> None:
        """What depends on the epoch alone, so that a resumed run does it as well."""
        epoch = self.progress.epoch
        self.train_data.begin_epoch(self.seed, epoch)
        self.objective.begin_epoch(epoch)
        if self.recipe.visual_training == "frozen" and self.recipe.frozen_features is None:
            encoder = self.model.visual_encoder
            (encoder if self.recipe.visual == "vit" else encoder.network).requires_grad_(
                epoch < self.recipe.pretrain_epochs
            )
            self.model.train()  # batch norms of a network train as long as it does

    def _end_epoch(self) -> None:
        p = self.progress
        batches = math.ceil(len(self.train_data) / self.recipe.batch_size)
        means = {name: float(total) / batches for name, total in self.sums.items()}
        broken = [name for name, mean in means.items() if not math.isfinite(mean)]
        if broken:
            name = "the training loss" if broken[0] == "train_loss" else broken[0]
            raise FloatingPointError(
                f"{self.recipe.experiment}: {name} is {means[broken[0]]} in epoch {p.epoch + 1}; "
                f"try a smaller learning_rate than {self.recipe.learning_rate}"
            )
        means["learning_rate"] = learning_rate_at(self.recipe, p.epoch)
        self.sums = {}
        p.epoch, p.position = p.epoch + 1, 0
        if p.epoch % self.recipe.validate_every == 0 or self.finished:
            self._add_to_history(means)

    def _add_to_history(self, row: dict[str, float]) -> None:
        p = self.progress
        if distributed.rank() > 0:
            return
        with autocast(self.recipe, self.device):
            validation = self.objective.validate(self.model)
        lowest = min((earlier["val_loss"] for earlier in p.history), default=math.inf)
        if self.recipe.keep_best and validation["val_loss"] < lowest:
            self.best = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        p.history.append({"epoch": p.epoch, "step": p.step, **row, **validation})

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a resumed run needs, as tensors and JSON."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        for i, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{name}": t for name, t in slots.items()}
        tensors |= {f"sums.{name}": t for name, t in self.sums.items()}
        tensors |= {f"best.{name}": t for name, t in self.best.items()}
        tensors["rng.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors, {**vars(self.progress), **_here(self.device)}

    def load_state(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from ``state()`` of an earlier process."""
        for name, now in _here(self.device).items():
            if (before := state.pop(name, 1)) != now and distributed.rank() == 0:
                print(f"resuming with {name} {now}, begun with {before}: the last bits may differ", file=sys.stderr)
        self.progress = Progress(**state)
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}, "sums": {}, "best": {}, "rng": {}}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor
        self.model.load_state_dict(parts["model"])
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in parts["optimiser"].items():
            i, name = key.split(".")
            slots.setdefault(int(i), {})[name] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": slots, "param_groups": groups})
        self.sums = {name: tensor.to(self.device) for name, tensor in parts["sums"].items()}
        self.best = {name: tensor.to(self.device) for name, tensor in parts["best"].items()}
        self._begin_epoch()
        torch.set_rng_state(parts["rng"]["cpu"])
        if self.device.type == "cuda" and "cuda" in parts["rng"]:
            torch.cuda.set_rng_state(parts["rng"]["cuda"], self.device)


def _here(device: torch.device) -> dict[str, int | str]:
    """What may change the last bits of a resumed run."""
    return {"threads": torch.get_num_threads(), "device": device.type, "processes": distributed.size()}


def train(
    recipe: Recipe,
    examples: dict[str, Examples],
    seed: int,
    device: torch.device,
    checkpoints: Path,
    show_progress: bool = True,
) -> Trained:
    """Train to the end, from the newest checkpoint in ``checkpoints`` if there is one.

    Of several processes all call this, the first one writes; they need one file system.

    Raises:
        FloatingPointError: the loss is no longer finite.
        ConnectionError: another process of this run has ended.
    """
    first = distributed.rank() == 0
    if not first:
        distributed.agree()  # until process 0 has looked through the checkpoints, and removed what is damaged
    found = load_checkpoint(checkpoints)
    if first:
        distributed.agree()
    trainer = Trainer(recipe, examples, seed, device)
    if found is not None:
        trainer.load_state(*found)
        if first:
            print(f"{recipe.experiment}: resuming at step {trainer.progress.step}", file=sys.stderr)
    p = trainer.progress
    interval = float(os.environ.get("VLJEPA_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
    before, started, saved = p.seconds, time.monotonic(), time.monotonic()
    bar = tqdm(
        desc=recipe.experiment,
        total=steps_of(recipe, len(trainer.train_data)),
        initial=p.step,
        unit="step",
        disable=not (show_progress and first),
        mininterval=0.5 if sys.stderr.isatty() else 30,
        leave=False,
    )
    with bar:
        while not trainer.finished:
            trainer.step()
            bar.update()
            p.seconds = before + time.monotonic() - started
            if p.position == 0 and first:
                row = p.history[-1]  # of the last validated epoch
                bar.set_postfix(epoch=f"{p.epoch}/{recipe.epochs}", val_loss=f"{row['val_loss']:.3f}", refresh=False)
            if first and (trainer.finished or time.monotonic() - saved >= interval):
                save_checkpoint(checkpoints, p.step, *trainer.state())
                saved = time.monotonic()
    if trainer.best:
        trainer.model.load_state_dict(trainer.best)
    return Trained(trainer.model, p.history, p.timeline, p.step, p.seconds)
