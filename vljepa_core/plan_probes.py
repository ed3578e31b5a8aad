"""Does a trained captioner use its plan? Its captions scored under its own plans, under others', and under their mean.

The matrix of these scores goes to ``probes``, which knows what can be read from it.
"""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from vljepa_core import probes, tokenizer
from vljepa_core.datasets.dataset import Dataset
from vljepa_core.datasets.selection import select
from vljepa_core.metrics import Metric, mean_metric
from vljepa_core.model.decoder import TextDecoder
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import caption_nats
from vljepa_core.recipes import FEWEST_SCORED, Recipe
from vljepa_core.resident import EVAL_BATCH, Resident

SCORED = 200  # images a side of the matrix; the cost grows with its square
SHIFTS = 8  # other plans per caption where only the shuffle gap is wanted
PLANS_AT_ONCE = 50  # larger batches are no faster on a CPU: they leave its cache
GPU_PLANS_AT_ONCE = 500  # a GPU has idle units below it; 1 GiB of activations at the published size
BITS = np.log(2)  # in nats: divided by it, nats are bits


def drawn(n: int, wanted: int = SCORED) -> np.ndarray:
    """All of n images, or a random ``wanted`` of them, in order; the same on every run."""
    return np.sort(np.random.default_rng(0).permutation(n)[:wanted])


@torch.no_grad()
def score_matrix(decoder: TextDecoder, plans: Tensor, ids: Tensor) -> np.ndarray:
    """log p(caption i | plan j) in nats, EOS included, dropout off: float64 (N, M).

    Equal plans are scored once, so that the scores of a model whose plans coincide are equal to the last bit.

    Args:
        decoder: of a trained model.
        plans: (M, K, D).
        ids: (N, L) token ids, padded with PAD.
    """
    training = decoder.training
    decoder.eval()
    flat = plans.float().cpu().numpy().reshape(len(plans), -1)
    _, first, which = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    parts = plans[torch.from_numpy(first).to(plans.device)].split(
        PLANS_AT_ONCE if plans.device.type == "cpu" else GPU_PLANS_AT_ONCE
    )
    lengths = (ids != tokenizer.PAD).sum(dim=1).tolist()
    rows = []
    for caption, length in zip(ids.long(), lengths, strict=True):
        row = [_log_likelihood(decoder, part, caption[None, :length]) for part in parts]
        rows.append(torch.cat(row))
    decoder.train(training)
    return torch.stack(rows).cpu().double().numpy()[:, which.ravel()]


def score_run(
    model: VLJEPA, recipe: Recipe, dataset: Dataset, seed: int, images: int, features: np.ndarray | None = None
) -> np.ndarray:
    """Matrix of a trained captioner on ``images`` validation images, or all that its data has where that is fewer.

    ``features``: of all images of the dataset, where a frozen network's stand for them.

    Raises:
        ValueError: no captioner, or fewer than ``FEWEST_SCORED`` images.
    """
    if model.decoder is None:
        raise ValueError(f"{recipe.experiment} writes no captions, so there are none to score")
    wanted = dataclasses.replace(recipe, n_val=images)
    split = Resident(
        select(dataset, wanted, seed, features)["val"], next(model.parameters()).device, recipe.plan_source
    )
    if len(split) < FEWEST_SCORED:
        raise ValueError(f"{len(split)} validation images: at least {FEWEST_SCORED} are needed")
    _, _, plans = caption_nats(model, split)
    return score_matrix(model.decoder, plans, split.ids)


def probe_plans(
    model: VLJEPA, validation: Resident, plans: Tensor, train: Resident, scored: int = SCORED
) -> dict[str, Metric]:
    """The probes of a trained captioner; plans (N, K, D) are those of the validation split.

    - those of ``probes.probe`` on ``scored`` validation images;
    - ``mean_plan_gap``: bits per caption that the mean of all validation plans costs, over all validation images;
    - ``train_shuffle_gap``: as ``shuffle_gap``, on ``SCORED`` training images with ``SHIFTS`` other plans each.

    Empty for fewer than ``FEWEST_SCORED`` images of either split.
    """
    if min(len(validation), len(train)) < FEWEST_SCORED:
        return {}
    rows = torch.from_numpy(drawn(len(validation), scored)).to(plans.device)
    found = probes.probe(score_matrix(model.decoder, plans[rows], validation.ids[rows]))
    mean = plans[:1] + (plans - plans[:1]).mean(dim=0)  # exactly the plan where all coincide
    own, at_mean = (paired_scores(model.decoder, p, validation.ids) for p in (plans, mean.expand_as(plans)))
    found["mean_plan_gap"] = mean_metric((own - at_mean) / BITS)
    found["train_shuffle_gap"] = _shifted_gap(model, train)
    return found


@torch.no_grad()
def paired_scores(decoder: TextDecoder, plans: Tensor, ids: Tensor) -> np.ndarray:
    """log p(caption i | plan i) in nats, float64 (N,); plans (N, K, D), ids (N, L)."""
    training = decoder.training
    decoder.eval()
    batches = zip(plans.split(EVAL_BATCH), ids.long().split(EVAL_BATCH), strict=True)
    parts = [_log_likelihood(decoder, *batch) for batch in batches]
    decoder.train(training)
    return torch.cat(parts).cpu().double().numpy()


@torch.no_grad()
def _shifted_gap(model: VLJEPA, split: Resident) -> Metric:
    """Shuffle gap in bits per caption against the plans 1, 2, ... ``SHIFTS`` places on in a random circle."""
    training = model.training
    model.eval()
    rows = np.random.default_rng(0).permutation(drawn(len(split)))
    parts = [split.batch(part) for part in np.array_split(rows, -(-len(rows) // EVAL_BATCH))]
    plans = torch.cat([model.plan(source) for source, _, _ in parts])
    model.train(training)
    ids = split.ids[torch.from_numpy(rows).to(plans.device)]
    own = paired_scores(model.decoder, plans, ids)
    shifts = range(1, min(SHIFTS, len(rows) - 1) + 1)
    others = [paired_scores(model.decoder, plans.roll(shift, dims=0), ids) for shift in shifts]
    return mean_metric((own - np.mean(others, axis=0)) / BITS)


def unrounded(device: torch.device) -> AbstractContextManager:
    """Matrix products in float32, within an ``autocast`` too; on mps nothing is trained in another precision."""
    return nullcontext() if device.type == "mps" else torch.autocast(device.type, enabled=False)


def _log_likelihood(decoder: TextDecoder, plans: Tensor, ids: Tensor) -> Tensor:
    """plans (B, K, D), ids (B, L) or the same for all plans (1, L) -> nats (B,).

    In float32 whatever the run's precision is: scores under nearly equal plans differ by less than bf16 rounds away.
    """
    if decoder.prefix_length > 0:  # else one row goes as far as the first cross-attention, where it meets the plans
        ids = ids.expand(len(plans), -1)
    with unrounded(plans.device):
        logits = decoder(plans.float(), ids[:, :-1])
    targets = ids[:, 1:].expand(len(plans), -1)
    chosen = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(dim=-1)
    return chosen.masked_fill(targets == tokenizer.PAD, 0.0).sum(dim=-1)
