"""Heads that further losses need, beside the study's rooms: a small caption tower, and a guess at the words.

They are trained and thrown away: no caption is written with them. A caption's words come hashed into ``BUCKETS``
numbers (``datasets/word_bags``), so that the heads depend on the recipe alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_core.datasets.word_bags import BUCKETS, LONGEST, NO_WORD
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
        self.earlier: EarlierCaptions | None = None
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
            self.earlier = EarlierCaptions(recipe.align_memory)
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

    @torch.no_grad()
    def earlier_captions(self) -> Tensor:
        """The earlier captions in that space, as the caption tower sees them now, without gradients: (size, D)."""
        return F.normalize(self.caption_side(self.embed_words(self.earlier.words)), dim=-1)


class EarlierCaptions(nn.Module):
    """Captions of earlier batches as further candidates: a larger batch for alignment at a small one's price.

    As in a cross-batch memory (Wang et al., CVPR 2020), but their words are kept, (``size``, LONGEST), and embedded by
    the caption tower as it is now: vectors that were kept would be those of an older tower. To be emptied before a
    picture comes a second time, or its own caption would count against it.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("words", torch.full((size, LONGEST), NO_WORD, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """Which rows hold a caption: bool (size,). A tensor, so that a GPU need not be waited for."""
        return torch.arange(len(self.words), device=self.seen.device) < self.seen

    def add(self, words: Tensor) -> None:
        """Those of a batch, (B, LONGEST), B at most ``size``, in place of the oldest."""
        at = (self.seen + torch.arange(len(words), device=self.seen.device)) % len(self.words)
        self.words[at] = words.long()
        self.seen += len(words)

    def forget(self) -> None:
        """Hold nothing."""
        self.seen.zero_()
