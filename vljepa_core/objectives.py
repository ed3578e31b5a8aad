"""What a run minimises and what it watches meanwhile: captioning, or classification of the plan.

Both give the one training loop the same things: the loss of a batch, a row of validation numbers every
``validate_every`` epochs, and a few of them between (``glance``).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_core import auxiliary_losses, distributed, tokenizer
from vljepa_core.distributed import WHOLE, Part
from vljepa_core.generate import generate
from vljepa_core.geometry import plan_geometry
from vljepa_core.model.auxiliary import AuxiliaryHeads
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.recipes import Recipe
from vljepa_core.resident import Resident, padded_length

LENGTH_GROUPS = 4
Further = tuple[float, Tensor, float]  # weight, value, and what share of its report this process's value is
# Weight of SIGReg beside likeness: the paper's lambda. Its likeness is the distance from the views' mean, a quarter of
# the distance between two views that is taken here, so that this is a lambda of 0.013 in its terms.
LEJEPA_NORMAL = 0.05


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
    """Next-byte cross-entropy with label smoothing, plus the weighted diversity loss; and what interventions add.

    ``pretraining`` says whether ``recipe.pretrain`` is still going on. During that of an encoder no captions are
    decoded, so that there is no ``train_loss``; during that of the text they are decoded under the batch's mean plan.
    """

    def __init__(self, recipe: Recipe, validation: Resident) -> None:
        self.recipe, self.validation = recipe, validation
        self.begin_epoch(0)
        # A caption's ids are its bytes, or fewer; losses are reported per byte, so that they can be compared: that of
        # the training captions by the ratio of the validation captions, which for pieces is theirs to about 1%.
        self.ids_per_byte = float((validation.lengths - 1).sum() / validation.bytes.sum())

    def begin_epoch(self, epoch: int) -> None:
        """What the loss does from here on; ``epoch`` counts from 0.

        Not the number itself is kept: a compiled loss would be compiled again for every epoch, and soon no more.
        """
        self.pretraining = epoch < self.recipe.pretrain_epochs

    def loss(
        self, model: VLJEPA, source: Tensor, ids: Tensor, labels: Tensor | None, mine: Part = WHOLE
    ) -> tuple[Tensor, dict]:
        """The loss to minimise, and the parts to report (detached).

        Of several processes (``distributed``), each gives its terms of the batch's loss; ``mine`` has their weight.
        """
        if self.pretraining and self.recipe.pretrain == "lejepa":
            return self._lejepa(model, source, mine)
        plan = model.plan(source)
        further = self._further(model, plan, ids, labels, mine)
        if self.pretraining and self.recipe.pretrain == "align":
            return self._with(plan.new_zeros(()), {}, further)
        read = plan
        if self.pretraining:  # the text: nothing to learn from a picture yet, and no gradient into its plan
            read = distributed.rows_of_all(plan.detach(), mine).mean(dim=0, keepdim=True).expand_as(plan)
        read = auxiliary_losses.nested(read) if self.recipe.nested_plan else read
        nats = [
            caption_loss(model.decoder(read[rows], part[:, :-1]), part, self.recipe.label_smoothing, "sum")
            for rows, part in by_length(ids)
        ]
        cross_entropy = torch.stack(nats).sum() / (ids[:, 1:] != tokenizer.PAD).sum() * mine.share
        diversity = diversity_loss(distributed.rows_of_all(plan.mean(dim=1, keepdim=True), mine))
        total = cross_entropy
        if self.recipe.diversity_weight > 0:
            total = total + self.recipe.diversity_weight * diversity
        told = cross_entropy.detach() * self.ids_per_byte
        parts = {"train_loss": told, "diversity": diversity.detach() / distributed.size()}
        return self._with(total, parts, further)

    def _with(self, total: Tensor, parts: dict, further: dict[str, Further]) -> tuple[Tensor, dict]:
        for name, (weight, loss, share) in further.items():
            total = total + weight * loss
            parts[name] = loss.detach() * share
        return total, parts

    def _further(
        self, model: VLJEPA, plan: Tensor, ids: Tensor, words: Tensor | None, mine: Part
    ) -> dict[str, Further]:
        """Every further loss that the recipe asks for.

        Those that compare the examples of a batch are computed by every process on the whole batch, with gradients into
        its own rows; the others are a process's terms of the batch's mean.
        """
        whole = 1 / distributed.size()
        r, found = self.recipe, {}
        if r.sigreg_weight > 0 or r.vicreg_weight > 0:
            places = distributed.rows_of_all(plan, mine).transpose(0, 1)  # (K, B, D): the plans at each of K places
            if r.sigreg_weight > 0:
                found["sigreg"] = (r.sigreg_weight, auxiliary_losses.sigreg(places), whole)
            if r.vicreg_weight > 0:
                found["vicreg"] = (r.vicreg_weight, auxiliary_losses.vicreg(places), whole)
        if r.align_weight > 0:
            loss = self._alignment(model.auxiliary, plan, words, mine)
            found["align"] = (r.align_weight, loss, whole)
        own_share = len(plan) / mine.rows if distributed.size() > 1 else 1.0
        if r.words_weight > 0:
            loss = auxiliary_losses.words_loss(model.auxiliary.word_logits(plan), words) * own_share
            found["words"] = (r.words_weight, loss, 1.0)
        if r.hinge_weight > 0:
            own, other = (_nats_each(model, p, ids) for p in (plan, plan.roll(1, dims=0)))
            loss = auxiliary_losses.hinge(own, other, r.hinge_margin) * own_share
            found["hinge"] = (r.hinge_weight, loss, 1.0)
        return found

    def _alignment(self, heads: AuxiliaryHeads, plan: Tensor, words: Tensor, mine: Part) -> Tensor:
        """How badly plans and captions of the whole batch find each other; plans also among earlier captions."""
        of_plan, of_caption = (distributed.rows_of_all(x, mine) for x in heads.both_sides(plan, words))
        scale = distributed.shared(heads.log_scale)
        if self.recipe.align == "siglip":
            return auxiliary_losses.siglip(of_plan, of_caption, scale, distributed.shared(heads.shift))
        if heads.earlier is None:
            return auxiliary_losses.infonce(of_plan, of_caption, scale)
        further = (heads.earlier_captions(), heads.earlier.filled)  # before this batch joins them
        heads.earlier.add(distributed.rows_of_all(words, mine))
        return auxiliary_losses.infonce(of_plan, of_caption, scale, further)

    def _lejepa(self, model: VLJEPA, pixels: Tensor, mine: Part) -> tuple[Tensor, dict]:
        """Pretraining without captions: two views of an image alike, all views together normally distributed."""
        images = pixels.permute(0, 3, 1, 2).float() / 255
        seen = [(auxiliary_losses.view(images) * 255).clamp(0, 255).permute(0, 2, 3, 1) for _ in range(2)]
        if self.recipe.visual != "vit":
            seen = [view.round().byte() for view in seen]  # networks take what pictures hold
        a, b = (distributed.rows_of_all(model.auxiliary.views(model.look(view).mean(dim=1)), mine) for view in seen)
        alike = (a - b).square().mean()
        normal = (auxiliary_losses.sigreg(a) + auxiliary_losses.sigreg(b)) / 2
        total = (1 - LEJEPA_NORMAL) * alike + LEJEPA_NORMAL * normal
        return total, {
            "lejepa_alike": alike.detach() / distributed.size(),
            "lejepa_normal": normal.detach() / distributed.size(),
        }

    @torch.no_grad()
    def validate(self, model: VLJEPA) -> dict[str, float]:
        """Unsmoothed validation loss (nats per byte), plan geometry, distinct greedy captions of a few images."""
        found, plans = self._look(model, self.validation)
        probe = plans[: self.recipe.probe_images]
        captions = generate(model.decoder, probe, self.recipe.max_new_tokens, tokens=self.validation.tokens)
        return {**found, "greedy_unique": len(set(captions)) / len(captions)}

    @torch.no_grad()
    def glance(self, model: VLJEPA) -> dict[str, float]:
        """Loss and geometry as ``validate`` has them, on the first few validation images."""
        return self._look(model, self.validation.first(self.recipe.probe_images))[0]

    def _look(self, model: VLJEPA, split: Resident) -> tuple[dict[str, float], Tensor]:
        nats, counts, plans = caption_nats(model, split)
        geometry = plan_geometry(plans.float().cpu().numpy())
        return {"val_loss": float(nats.sum() / counts.sum()), **geometry}, plans


def _nats_each(model: VLJEPA, plan: Tensor, ids: Tensor) -> Tensor:
    """Nats (B,) of captions (B, N) given plans (B, K, D), with gradients."""
    nats = plan.new_zeros(len(plan), dtype=torch.float32)
    for rows, part in by_length(ids):
        logits = model.decoder(plan[rows], part[:, :-1]).float().transpose(1, 2)
        each = F.cross_entropy(logits, part[:, 1:], ignore_index=tokenizer.PAD, reduction="none").sum(dim=1)
        nats = nats.index_put((rows,), each)
    return nats


class Classification:
    """Cross-entropy of a linear classifier on the mean plan, trained end to end (Test 3)."""

    def __init__(self, recipe: Recipe, validation: Resident) -> None:
        self.recipe, self.validation = recipe, validation

    def begin_epoch(self, epoch: int) -> None:
        """Nothing: every epoch is the same."""

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
    """Per image: nats of its caption (EOS included, no smoothing, dropout off), number of predicted bytes; plans.

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
    return np.concatenate(nats), split.bytes, torch.cat(plans)


@torch.no_grad()
def class_logits(model: VLJEPA, split: Resident) -> tuple[Tensor, Tensor]:
    """Logits (N, classes) and plans (N, K, D), dropout off."""
    training = model.training
    model.eval()
    plans, logits = zip(*(model(source) for source, _, _ in split.batches()), strict=True)
    model.train(training)
    return torch.cat(logits), torch.cat(plans)
