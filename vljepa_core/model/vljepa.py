"""The one class that wires the rooms: image -> visual encoder -> fusion with a fixed query -> plan -> text.

    images (B, 3, S, S) -> visual (B, P, D) -> fused (B, S_q, D) -> plan (B, K, D) -> logits (B, N, vocab)

The study also allocates an EMA copy of the visual encoder. It is frozen, never updated and never read in
any run, so it has no effect on any number and does not exist here; its weights are not trainable and are
not part of the published parameter counts.

``recipe.plan_source`` names what the plan is made from. Only ``image`` is the study's; the others are the
audit's controls, with the same plan, decoder and training:

- ``image``: as above;
- ``caption``: an oracle. The text encoder reads the caption itself, the predictor makes the plan of it;
- ``table``: a free plan for every training example, learned directly: no encoder stands in the way;
- ``none``: one learned plan for all, so the decoder is blind.

The interventions of the chapter "What breaks the collapse" are parts of their own: another visual encoder
(``visual``), plan queries that read its tokens (``plan_reads="image"``: text encoder and fusion are then left out) or
none at all (``"tokens"``: the decoder reads every visual token, a control without bottleneck), another scale of the
initial weights (``init``), and heads for further losses (``auxiliary``). With all of them off nothing here differs from
the study's, random draws included.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_core import distributed, tokenizer
from vljepa_core.model.auxiliary import AuxiliaryHeads
from vljepa_core.model.decoder import TextDecoder
from vljepa_core.model.encoders import FeatureTokens, Fusion, TextEncoder, VisualEncoder
from vljepa_core.model.initialisation import balance
from vljepa_core.model.plan import EveryToken, FreePlans, SemanticPredictor
from vljepa_core.recipes import Recipe, RecipeError

# The ImageNet statistics that Test 3 alone applies; captioning runs see pixels in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VLJEPA(nn.Module):
    """Image and fixed query to latent plan; then a text decoder or, for Test 3, a linear classifier."""

    def __init__(self, recipe: Recipe) -> None:
        """The model of a recipe, with its initial weights.

        Raises:
            RecipeError: ``plan_reads="tokens"`` with another number of plan vectors than the image has tokens.
            ValueError: a network that trains from random weights, on several processes.
        """
        super().__init__()
        r, size = recipe, (recipe.dim, recipe.heads)
        self.plan_source, self.max_length = r.plan_source, r.max_length
        self.visual_encoder: VisualEncoder | FeatureTokens | None = None
        self.text_encoder: TextEncoder | None = None
        self.fusion: Fusion | None = None
        self.predictor: SemanticPredictor | EveryToken | None = None
        self.free_plans: FreePlans | None = None
        asks = r.plan_source == "image" and r.plan_reads == "query"  # the query looks, and the plan is made of it
        if r.plan_source == "image":
            self.visual_encoder = visual_encoder(r)
        if asks or r.plan_source == "caption":
            self.text_encoder = TextEncoder(r.vocab_size, r.max_length, *size, r.text_depth, r.mlp_ratio)
        if asks:
            self.fusion = Fusion(*size, r.fusion_depth, r.mlp_ratio)
        if r.plan_source == "image" and r.plan_reads == "tokens":
            tokens = len(self.visual_encoder.positions)
            if r.plan_vectors != tokens:
                raise RecipeError(f"plan_reads='tokens' has a vector for each of the image's {tokens}: set K={tokens}")
            self.predictor = EveryToken(tokens, *size, r.predictor_depth, r.mlp_ratio, norm=r.plan_norm)
        elif r.plan_source in ("image", "caption"):
            self.predictor = SemanticPredictor(
                r.plan_vectors, *size, r.predictor_depth, r.mlp_ratio, residual=r.plan_query_residual, norm=r.plan_norm
            )
        else:
            self.free_plans = FreePlans(r.n_train if r.plan_source == "table" else 1, r.plan_vectors, r.dim)
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
                input_dropout=r.input_dropout,
                input_dropout_rate=r.input_dropout_rate,
                memory=r.decoder_memory,
            )
        else:
            self.classifier = nn.Linear(r.dim, r.classes)
        self.auxiliary = AuxiliaryHeads(r) if AuxiliaryHeads.wanted(r) else None
        if r.init == "balanced":
            balance(self)
        query = torch.tensor([tokenizer.encode(r.query, r.max_length)])
        self.register_buffer("query", query, persistent=False)
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if r.normalise == "imagenet" else ((0, 0, 0), (1, 1, 1))
        self.register_buffer("pixel_mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)

    def plan(self, source: Tensor) -> Tensor:
        """What the plan is made from -> latent plan (B, K, D).

        ``source``: images uint8 (B, S, S, 3), or a frozen network's features of them (B, P, C); captions' ids (B, N),
        padded with PAD; or row numbers (B,).
        """
        if self.free_plans is not None:
            return self.free_plans(source)
        if self.plan_source == "caption":
            # To full length: like the study's, the encoder sees PAD, so a plan must not depend on its batch's longest.
            return self.predictor(self.text_encoder(F.pad(source, (0, self.max_length - source.shape[1]))))
        visual = self.look(source)
        if self.fusion is None:
            return self.predictor(visual)
        # The query is the same text for every image, so one row of it (1, S_q, D) goes as far as the first fusion
        # block, where it meets the images: the same numbers as encoding B copies, for 1/B of the work.
        return self.predictor(self.fusion(self.text_encoder(self.query), visual))

    def look(self, source: Tensor) -> Tensor:
        """Images uint8 (B, S, S, 3), or features of them (B, P, C) -> visual tokens (B, P, D)."""
        if isinstance(self.visual_encoder, FeatureTokens):
            return self.visual_encoder(source)
        pixels = (source.permute(0, 3, 1, 2).float() - self.pixel_mean) / self.pixel_std
        return self.visual_encoder(pixels)

    def forward(self, source: Tensor, ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Plan (B, K, D) and logits: (B, N, vocab) for ids (B, N), or (B, classes) for a classifier."""
        plan = self.plan(source)
        if self.classifier is not None:
            return plan, self.classifier(plan.mean(dim=1))
        return plan, self.decoder(plan, ids)


def visual_encoder(recipe: Recipe) -> VisualEncoder | FeatureTokens:
    """The visual encoder that a recipe names, with its initial weights.

    One that is frozen counts as such from here on, so that its weights are not taken for trainable ones; where it is
    pretrained, training thaws it for as long (``train.Trainer``).

    Raises:
        ValueError: a network that trains from random weights, on several processes.
    """
    r = recipe
    if r.visual == "vit":
        encoder = VisualEncoder(r.image_size, r.patch_size, r.dim, r.heads, r.visual_depth, r.mlp_ratio, r.stem)
        return encoder.requires_grad_(r.visual_training == "trained")
    from vljepa_core.model.networks import feature_shape  # here: few recipes want its packages

    network = None if r.frozen_features else _network(r)
    return FeatureTokens(*feature_shape(r.visual, r.image_size), r.dim, network)


def _network(recipe: Recipe) -> nn.Module:
    """The network that is part of the model, because it trains, or has trained: random weights are drawn anew."""
    from vljepa_core.model.networks import load_network, start_statistics

    r = recipe
    if torch.get_default_device().type == "meta":  # shapes alone
        network = load_network(r.visual, "random")
    elif r.visual_weights == "pretrained":
        network = load_network(r.visual)
    elif distributed.size() > 1:
        raise ValueError(
            f"visual={r.visual!r} trained from random weights on several processes: its batch norms would go by a "
            "process's own images; use one"
        )
    else:
        network = start_statistics(load_network(r.visual, "random", seed=int(torch.randint(2**31, ()))))
    return network.requires_grad_(r.visual_training == "trained")
