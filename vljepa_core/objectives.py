"""What a run minimises and what it watches meanwhile: captioning, or classification of the plan.

Both give the one training loop the same three things: a batch on the device, a loss, and a row of
validation numbers after every epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_core import distributed, tokenizer
from vljepa_core.datasets.selection import Examples
from vljepa_core.distributed import WHOLE, Part
from vljepa_core.generate import generate
from vljepa_core.geometry import plan_geometry
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.recipes import Recipe

EVAL_BATCH = 128
LENGTH_GROUPS = 4
# Captions are padded to 1 + a multiple of this, BOS being read and not predicted. Matrix kernels are compiled for every
# new shape, and it is as well to meet the same ones again.
LENGTH_STEP = 8


class Resident:
    """One split's plan sources and ids, on the device as they are stored: uint8 pixels, int32 ids.

    ``plan_source`` as in the recipe: what ``VLJEPA.plan`` is given is the images, the captions' ids, the row numbers
    of a table, or 0.
    """

    def __init__(self, examples: Examples, device: torch.device, plan_source: str = "image") -> None:
        self.ids = torch.from_numpy(examples.ids.astype(np.int32)).to(device)
        if plan_source == "image":
            self.source = torch.from_numpy(np.ascontiguousarray(examples.images)).to(device)
        elif plan_source == "caption":
            self.source = self.ids
        else:
            rows = torch.arange(len(examples), device=device)
            self.source = rows if plan_source == "table" else torch.zeros_like(rows)
        self.lengths = (examples.ids != tokenizer.PAD).sum(axis=1)
        self.labels = None if examples.labels is None else torch.from_numpy(examples.labels).to(device)

    def __len__(self) -> int:
        return len(self.ids)

    def targets(self, index: np.ndarray) -> int:
        """How many terms a batch's mean cross-entropy has: its predicted bytes, or its labels."""
        return int((self.lengths[index] - 1).sum()) if self.labels is None else len(index)

    def first(self, n: int) -> Resident:
        """The first n of it, or all where there are fewer; views, no copies."""
        part = copy.copy(self)
        part.source, part.ids, part.lengths = self.source[:n], self.ids[:n], self.lengths[:n]
        part.labels = None if self.labels is None else self.labels[:n]
        return part

    def batch(self, index: np.ndarray) -> tuple[Tensor, Tensor, Tensor | None]:
        """Plan sources (B, ...), ids (B, N) int64, labels (B,) or None.

        N is what the longest of these captions needs; on a GPU, where a new shape costs more than padding, it is
        always the same.
        """
        rows = torch.from_numpy(index).to(self.ids.device)
        labels = None if self.labels is None else self.labels[rows]
        ids = self.ids[rows]
        if ids.device.type == "cpu":
            ids = ids[:, : padded_length(int(self.lengths[index].max()))]
        return self.source[rows], ids.long(), labels

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """All of it in order, for evaluation."""
        for start in range(0, len(self), EVAL_BATCH):
            yield self.batch(np.arange(start, min(start + EVAL_BATCH, len(self))))


def diversity_loss(plan: Tensor) -> Tensor:
    """Mean off-diagonal cosine similarity of the mean-pooled plans (B, K, D) of a batch; 0 for a batch of one.

    Its gradient vanishes exactly where all plans coincide, and a batch of two antipodal clusters satisfies it.
    """
    unit = F.normalize(plan.mean(dim=1), dim=-1)
    n = len(unit)
    if n < 2:
        return plan.new_zeros(())
    similarity = unit @ unit.T
    return (similarity.sum() - similarity.diagonal().sum()) / (n * (n - 1))


def caption_loss(logits: Tensor, ids: Tensor, label_smoothing: float, reduction: str = "mean") -> Tensor:
    """Cross-entropy per next byte (nats), PAD ignored, mean or sum; logits (B, N - 1, V) for ids (B, N)."""
    targets = ids[:, 1:].reshape(-1)
    flat = logits.flatten(0, 1)
    return F.cross_entropy(
        flat, targets, ignore_index=tokenizer.PAD, label_smoothing=label_smoothing, reduction=reduction
    )


def padded_length(longest: int) -> int:
    """Ids to pad captions to, the longest of which has ``longest`` of them."""
    return -(-(longest - 1) // LENGTH_STEP) * LENGTH_STEP + 1


def by_length(ids: Tensor) -> list[tuple[Tensor, Tensor]]:
    """A batch's captions (B, N) in groups of similar length: their rows (B_g,), and ids (B_g, N_g).

    Decoded together, each costs what the longest does: 45% of what the decoder reads in a batch of 32 is then padding
    (captions of Flickr8k), in 4 groups 19%. The batch stays the batch: every example is in it once, and its loss is
    the mean over all of its bytes. A GPU decodes all at once: it would have to be asked for the lengths, and every
    shape would be a new one.
    """
    if ids.device.type != "cpu":
        return [(torch.arange(len(ids), device=ids.device), ids)]
    lengths, rows = (ids != tokenizer.PAD).sum(dim=1).sort(descending=True, stable=True)
    return [
        (part, ids[part, : padded_length(int(longest[0]))])
        for part, longest in zip(rows.tensor_split(LENGTH_GROUPS), lengths.tensor_split(LENGTH_GROUPS), strict=True)
        if len(part)
    ]


class Captioning:
    """Next-byte cross-entropy with label smoothing, plus the weighted diversity loss."""

    def __init__(self, recipe: Recipe, validation: Resident) -> None:
        self.recipe, self.validation = recipe, validation

    def loss(
        self, model: VLJEPA, source: Tensor, ids: Tensor, labels: Tensor | None, mine: Part = WHOLE
    ) -> tuple[Tensor, dict]:
        """The loss to minimise, and the parts to report (detached).

        Of several processes (``distributed``), each gives its terms of the batch's loss; ``mine`` has their weight.
        """
        plan = model.plan(source)
        nats = [
            caption_loss(model.decoder(plan[rows], part[:, :-1]), part, self.recipe.label_smoothing, "sum")
            for rows, part in by_length(ids)
        ]
        cross_entropy = torch.stack(nats).sum() / (ids[:, 1:] != tokenizer.PAD).sum() * mine.share
        diversity = diversity_loss(distributed.rows_of_all(plan.mean(dim=1, keepdim=True), mine))
        total = cross_entropy
        if self.recipe.diversity_weight > 0:
            total = total + self.recipe.diversity_weight * diversity
        return total, {"train_loss": cross_entropy.detach(), "diversity": diversity.detach() / distributed.size()}

    @torch.no_grad()
    def validate(self, model: VLJEPA) -> dict[str, float]:
        """Unsmoothed validation loss (nats per byte), plan geometry, distinct greedy captions of a few images."""
        found, plans = self._look(model, self.validation)
        probe = plans[: self.recipe.probe_images]
        captions = generate(model.decoder, probe, self.recipe.max_new_tokens)
        return {**found, "greedy_unique": len(set(captions)) / len(captions)}

    @torch.no_grad()
    def glance(self, model: VLJEPA) -> dict[str, float]:
        """Loss and geometry as ``validate`` has them, on the first few validation images."""
        return self._look(model, self.validation.first(self.recipe.probe_images))[0]

    def _look(self, model: VLJEPA, split: Resident) -> tuple[dict[str, float], Tensor]:
        nats, counts, plans = caption_nats(model, split)
        geometry = plan_geometry(plans.float().cpu().numpy())
        return {"val_loss": float(nats.sum() / counts.sum()), **geometry}, plans


class Classification:
    """Cross-entropy of a linear classifier on the mean plan, trained end to end (Test 3)."""

    def __init__(self, recipe: Recipe, validation: Resident) -> None:
        self.recipe, self.validation = recipe, validation

    def loss(
        self, model: VLJEPA, source: Tensor, ids: Tensor, labels: Tensor | None, mine: Part = WHOLE
    ) -> tuple[Tensor, dict]:
        """The loss to minimise, and the parts to report (detached).

        Of several processes (``distributed``), each gives its terms of the batch's loss; ``mine`` has their weight.
        """
        plan, logits = model(source)
        cross_entropy = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing) * mine.share
        return cross_entropy, {
            "train_loss": cross_entropy.detach(),
            "train_accuracy": (logits.argmax(dim=-1) == labels).float().mean() * mine.share,
        }

    @torch.no_grad()
    def validate(self, model: VLJEPA) -> dict[str, float]:
        """Validation cross-entropy (nats), accuracy, plan geometry."""
        return self._look(model, self.validation)

    @torch.no_grad()
    def glance(self, model: VLJEPA) -> dict[str, float]:
        """The same on the first few validation images."""
        return self._look(model, self.validation.first(self.recipe.probe_images))

    def _look(self, model: VLJEPA, split: Resident) -> dict[str, float]:
        logits, plans = class_logits(model, split)
        return {
            "val_loss": float(F.cross_entropy(logits.float(), split.labels)),
            "val_accuracy": float((logits.argmax(dim=-1) == split.labels).float().mean()),
            **plan_geometry(plans.float().cpu().numpy()),
        }


def objective(recipe: Recipe, validation: Resident) -> Captioning | Classification:
    """The objective that the recipe names."""
    return (Captioning if recipe.objective == "caption" else Classification)(recipe, validation)


@torch.no_grad()
def caption_nats(model: VLJEPA, split: Resident) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Per image: nats of its caption (EOS included, no smoothing, dropout off), number of predicted ids; plans.

    Returns float64 (N,), int64 (N,), and the plans (N, K, D) on the device.
    """
    training = model.training
    model.eval()
    nats, plans = [], []
    for source, ids, _ in split.batches():
        plan, logits = model(source, ids[:, :-1])
        each = F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], ignore_index=tokenizer.PAD, reduction="none")
        nats.append(each.sum(dim=1).cpu().double().numpy())
        plans.append(plan)
    model.train(training)
    return np.concatenate(nats), split.lengths - 1, torch.cat(plans)


@torch.no_grad()
def class_logits(model: VLJEPA, split: Resident) -> tuple[Tensor, Tensor]:
    """Logits (N, classes) and plans (N, K, D), dropout off."""
    training = model.training
    model.eval()
    plans, logits = zip(*(model(source) for source, _, _ in split.batches()), strict=True)
    model.train(training)
    return torch.cat(logits), torch.cat(plans)
