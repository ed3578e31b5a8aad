"""The one class that wires the rooms: image -> visual encoder -> fusion with a fixed query -> plan -> text.

    images (B, 3, S, S) -> visual (B, P, D) -> fused (B, S_q, D) -> plan (B, K, D) -> logits (B, N, vocab)

The study also allocates an EMA copy of the visual encoder. It is frozen, never updated and never read in
any run, so it has no effect on any number and does not exist here; its weights are not trainable and are
not part of the published parameter counts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vljepa_core import tokenizer
from vljepa_core.model.decoder import TextDecoder
from vljepa_core.model.encoders import Fusion, TextEncoder, VisualEncoder
from vljepa_core.model.plan import SemanticPredictor
from vljepa_core.recipes import Recipe

# The ImageNet statistics that Test 3 alone applies; captioning runs see pixels in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VLJEPA(nn.Module):
    """Image and fixed query to latent plan; then a text decoder or, for Test 3, a linear classifier."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        r, size = recipe, (recipe.dim, recipe.heads)
        self.visual_encoder = VisualEncoder(r.image_size, r.patch_size, *size, r.visual_depth, r.mlp_ratio)
        self.text_encoder = TextEncoder(r.vocab_size, r.max_length, *size, r.text_depth, r.mlp_ratio)
        self.fusion = Fusion(*size, r.fusion_depth, r.mlp_ratio)
        self.predictor = SemanticPredictor(
            r.plan_vectors, *size, r.predictor_depth, r.mlp_ratio, residual=r.plan_query_residual
        )
        self.decoder: TextDecoder | None = None
        self.classifier: nn.Linear | None = None
        if r.objective == "caption":
            self.decoder = TextDecoder(
                r.vocab_size,
                r.max_length,
                r.plan_vectors,
                *size,
                r.decoder_depth,
                r.mlp_ratio,
                variant=r.decoder,
                cross_gate_init=r.cross_gate_init,
                plan_dropout=r.plan_dropout,
                word_dropout_rate=r.word_dropout_rate,
                word_dropout=r.word_dropout,
            )
        else:
            self.classifier = nn.Linear(r.dim, r.classes)
        query = torch.tensor([tokenizer.encode(r.query, r.max_length)])
        self.register_buffer("query", query, persistent=False)
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if r.normalise == "imagenet" else ((0, 0, 0), (1, 1, 1))
        self.register_buffer("pixel_mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)

    def plan(self, images: Tensor) -> Tensor:
        """images uint8 (B, S, S, 3) -> latent plan (B, K, D).

        The query is the same text for every image, so it is encoded once and expanded: the same numbers
        as encoding B copies, for 1/B of the work.
        """
        pixels = (images.permute(0, 3, 1, 2).float() - self.pixel_mean) / self.pixel_std
        visual = self.visual_encoder(pixels)
        text = self.text_encoder(self.query).expand(len(images), -1, -1)
        return self.predictor(self.fusion(text, visual))

    def forward(self, images: Tensor, ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Plan (B, K, D) and logits: (B, N, vocab) for ids (B, N), or (B, classes) for a classifier."""
        plan = self.plan(images)
        if self.classifier is not None:
            return plan, self.classifier(plan.mean(dim=1))
        return plan, self.decoder(plan, ids)
