"""Heads that further losses need, beside the study's rooms: a small caption tower, and a guess at the words.

They are trained and thrown away: no caption is written with them. A caption's words come hashed into ``BUCKETS``
numbers (``datasets/word_bags``), so that the heads depend on the recipe alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_core.datasets.word_bags import BUCKETS, NO_WORD
from vljepa_core.recipes import Recipe


class AuxiliaryHeads(nn.Module):
    """What ``align`` and ``words`` compare plans (B, K, D) and hashed words (B, W) with."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        dim = recipe.dim
        self.words: nn.Linear | None = None
        self.plan_side: nn.Linear | None = None
        self.caption_side: nn.Module | None = None
        self.embed_words: nn.EmbeddingBag | None = None
        self.views: nn.Module | None = None
        self.earlier: EarlierPairs | None = None
        if recipe.words_weight > 0:
            self.words = nn.Linear(dim, BUCKETS)
        if recipe.align_weight > 0:
            self.plan_side = nn.Linear(dim, dim)
            self.embed_words = nn.EmbeddingBag(BUCKETS, dim, mode="mean", padding_idx=NO_WORD)
            self.caption_side = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim))
            # CLIP's start (Radford et al. 2021) or SigLIP's (Zhai et al. 2023).
            scale, shift = (math.log(1 / 0.07), 0.0) if recipe.align == "infonce" else (math.log(10.0), -10.0)
            self.log_scale = nn.Parameter(torch.tensor(scale))
            self.shift = nn.Parameter(torch.tensor(shift), requires_grad=recipe.align == "siglip")
        if recipe.align_memory > 0:
            self.earlier = EarlierPairs(recipe.align_memory, dim)
        if recipe.pretrain == "lejepa":
            self.views = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    @staticmethod
    def wanted(recipe: Recipe) -> bool:
        """Whether a recipe has a loss that needs heads."""
        return recipe.words_weight > 0 or recipe.align_weight > 0 or recipe.pretrain == "lejepa"

    def begin_epoch(self) -> None:
        """A picture comes once in an epoch, so that none meets its own caption among the earlier ones."""
        if self.earlier is not None:
            self.earlier.forget()

    def word_logits(self, plan: Tensor) -> Tensor:
        """plan (B, K, D) -> logits (B, BUCKETS) of the words of its caption."""
        return self.words(plan.mean(dim=1))

    def both_sides(self, plan: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Plans (B, K, D) and words (B, W) in one space: two times (B, D), of length 1."""
        caption = self.caption_side(self.embed_words(words))
        return F.normalize(self.plan_side(plan.mean(dim=1)), dim=-1), F.normalize(caption, dim=-1)


class EarlierPairs(nn.Module):
    """The pairs of earlier batches as further candidates: a large batch for alignment at a small one's price.

    Cross-batch memory (Wang et al., CVPR 2020): both sides of the last ``size`` pairs, without gradients, as they were
    when they were seen. To be emptied before a pair comes a second time, or it would count against itself.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("plans", torch.zeros(size, dim))
        self.register_buffer("captions", torch.zeros(size, dim))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """Which rows hold a pair: bool (size,). A tensor, so that a GPU need not be waited for."""
        return torch.arange(len(self.plans), device=self.seen.device) < self.seen

    @torch.no_grad()
    def add(self, plans: Tensor, captions: Tensor) -> None:
        """Both sides of a batch, (B, D) each, B at most ``size``, in place of the oldest."""
        at = (self.seen + torch.arange(len(plans), device=self.seen.device)) % len(self.plans)
        self.plans[at] = plans.to(self.plans.dtype)
        self.captions[at] = captions.to(self.captions.dtype)
        self.seen += len(plans)

    def forget(self) -> None:
        """Hold nothing."""
        self.seen.zero_()
