"""The published path: the study's model, training step and generation as a plain script would have them.

A twin of ``vljepa_core/model`` that shares no code with it, for two uses: the denominator of every ratio that
``make bench`` prints, and the oracle of the equality tests. It is written from the study's facts and never made
faster: explicit softmax attention, the fixed query encoded again for every image of a batch, captions tokenised
and padded sample by sample in Python, every prefix recomputed for every byte, float32, eager, AdamW and gradient
clipping as PyTorch gives them. Where the facts leave a choice, the cheaper one is taken, so that a ratio never
profits from it: one q, k, v projection in self-attention, the plan computed once per caption, a batch of captions
left as soon as all of it has ended.

Dimensions: B images, P patches, Q query ids, K plan vectors, N caption ids, D channels, H heads, V ids.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_core import tokenizer
from vljepa_core.recipes import Recipe

# The study evaluates with the batches of its training loader: 32 images, also while it generates.
GENERATION_BATCH = 32
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Sample = tuple[np.ndarray, str, int]  # image uint8 (S, S, 3), caption, class


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, visible: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v per head; q (B, N, D), k and v (B, M, D), visible bool (N, M) -> (B, N, D)."""
    b, n, d = q.shape
    q, k, v = (x.view(b, -1, heads, d // heads).transpose(1, 2) for x in (q, k, v))  # (B, H, N, D/H)
    scores = q @ k.transpose(-2, -1) / math.sqrt(d // heads)  # (B, H, N, M)
    if visible is not None:
        scores = scores.masked_fill(~visible, float("-inf"))
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(b, n, d)


class SelfAttention(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = r.heads, nn.Linear(r.dim, 3 * r.dim), nn.Linear(r.dim, r.dim)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        return self.out(attention(*self.qkv(x).chunk(3, dim=-1), self.heads, visible))


class CrossAttention(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.heads = r.heads
        self.q, self.k, self.v, self.out = (nn.Linear(r.dim, r.dim) for _ in range(4))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.out(attention(self.q(x), self.k(context), self.v(context), self.heads))


def mlp(r: Recipe) -> nn.Sequential:
    return nn.Sequential(nn.Linear(r.dim, r.mlp_ratio * r.dim), nn.GELU(), nn.Linear(r.mlp_ratio * r.dim, r.dim))


class Block(nn.Module):
    """x + attn(LN x); x + mlp(LN x)."""

    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.norm_attn, self.attn = nn.LayerNorm(r.dim), SelfAttention(r)
        self.norm_mlp, self.mlp = nn.LayerNorm(r.dim), mlp(r)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm_attn(x))
        return x + self.mlp(self.norm_mlp(x))


class VisualEncoder(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, r.dim, r.patch_size, r.patch_size)
        self.positions = nn.Parameter(torch.zeros((r.image_size // r.patch_size) ** 2, r.dim))
        self.blocks = nn.ModuleList(Block(r) for _ in range(r.visual_depth))
        self.norm = nn.LayerNorm(r.dim)

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, S, S) -> (B, P, D)
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class TextEncoder(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.embed = nn.Embedding(r.vocab_size, r.dim)
        self.positions = nn.Parameter(torch.zeros(r.max_length, r.dim))
        self.blocks = nn.ModuleList(Block(r) for _ in range(r.text_depth))
        self.norm = nn.LayerNorm(r.dim)

    def forward(self, ids: Tensor) -> Tensor:  # (B, Q) -> (B, Q, D)
        x = self.embed(ids) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class FusionBlock(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.norm_text, self.norm_visual = nn.LayerNorm(r.dim), nn.LayerNorm(r.dim)
        self.cross, self.block = CrossAttention(r), Block(r)

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:
        return self.block(text + self.cross(self.norm_text(text), self.norm_visual(visual)))


class Fusion(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FusionBlock(r) for _ in range(r.fusion_depth))
        self.norm = nn.LayerNorm(r.dim)

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:  # (B, Q, D), (B, P, D) -> (B, Q, D)
        for block in self.blocks:
            text = block(text, visual)
        return self.norm(text)


class Predictor(nn.Module):
    """Encoder blocks, then K queries read them without a residual."""

    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(r) for _ in range(r.predictor_depth))
        self.queries = nn.Parameter(torch.zeros(r.plan_vectors, r.dim))
        self.cross, self.norm = CrossAttention(r), nn.LayerNorm(r.dim)

    def forward(self, fused: Tensor) -> Tensor:  # (B, Q, D) -> plan (B, K, D)
        for block in self.blocks:
            fused = block(fused)
        return self.norm(self.cross(self.queries.expand(len(fused), -1, -1), fused))


class FiLM(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.project = nn.Linear(r.dim, 2 * r.dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # (B, N, D), (B, D)
        scale, shift = self.project(condition).unsqueeze(1).chunk(2, dim=-1)
        return x * scale + shift


class DecoderBlock(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.norm_attn, self.attn = nn.LayerNorm(r.dim), SelfAttention(r)
        self.norm_cross, self.norm_plan, self.cross = nn.LayerNorm(r.dim), nn.LayerNorm(r.dim), CrossAttention(r)
        self.norm_mlp, self.mlp = nn.LayerNorm(r.dim), mlp(r)
        self.variant = r.decoder
        if r.decoder == "stronger":
            self.cross_gate = nn.Parameter(torch.tensor(r.cross_gate_init))
        if r.decoder == "refactored":
            self.film_attn, self.film_mlp = FiLM(r), FiLM(r)

    def forward(self, x: Tensor, plan: Tensor, bias: Tensor | None, visible: Tensor) -> Tensor:
        h = self.norm_attn(x)
        if self.variant == "refactored":
            h = self.film_attn(h, plan.mean(dim=1))
        x = x + self.attn(h, visible)
        read = self.cross(self.norm_cross(x), self.norm_plan(plan))
        if self.variant == "stronger":
            read = torch.sigmoid(self.cross_gate) * (read + bias)
        x = x + read
        h = self.norm_mlp(x)
        if self.variant == "refactored":
            h = self.film_mlp(h, plan.mean(dim=1))
        return x + self.mlp(h)


class Decoder(nn.Module):
    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.variant = r.decoder
        prefix = r.plan_vectors if r.decoder == "refactored" else 0
        self.embed = nn.Embedding(r.vocab_size, r.dim)
        self.positions = nn.Parameter(torch.zeros(r.max_length + prefix, r.dim))
        self.blocks = nn.ModuleList(DecoderBlock(r) for _ in range(r.decoder_depth))
        self.norm, self.head = nn.LayerNorm(r.dim), nn.Linear(r.dim, r.vocab_size, bias=False)
        if r.decoder == "stronger":
            self.plan_bias, self.plan_dropout = nn.Linear(r.dim, r.dim), nn.Dropout(r.plan_dropout)
        if r.decoder == "refactored":
            self.prefix, self.word_dropout = nn.Linear(r.dim, r.dim), nn.Dropout(r.word_dropout_rate)

    def forward(self, plan: Tensor, ids: Tensor) -> Tensor:  # (B, K, D), (B, N) -> (B, N, V)
        x, bias, prefix = self.embed(ids), None, 0
        if self.variant == "stronger":
            plan = self.plan_dropout(plan)
            bias = self.plan_bias(plan.mean(dim=1)).unsqueeze(1)
        if self.variant == "refactored":
            prefix = plan.shape[1]
            x = torch.cat([self.prefix(plan), self.word_dropout(x)], dim=1)
        x = x + self.positions[: x.shape[1]]
        visible = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        visible[:, :prefix] = True
        for block in self.blocks:
            x = block(x, plan, bias, visible)
        return self.head(self.norm(x))[:, prefix:]


class PublishedVLJEPA(nn.Module):
    """The study's model of a recipe, without its initialisation: ``twin_of`` gives it the weights of ours."""

    def __init__(self, r: Recipe) -> None:
        super().__init__()
        self.recipe = r
        self.visual_encoder = VisualEncoder(r)
        self.target_encoder = copy.deepcopy(self.visual_encoder).requires_grad_(False)  # allocated, never used
        self.text_encoder, self.fusion, self.predictor = TextEncoder(r), Fusion(r), Predictor(r)
        if r.objective == "caption":
            self.decoder = Decoder(r)
        else:
            self.classifier = nn.Linear(r.dim, r.classes)

    def plan(self, images: Tensor) -> Tensor:  # float (B, 3, S, S) -> (B, K, D)
        query = [tokenizer.encode(self.recipe.query, self.recipe.max_length) for _ in range(len(images))]
        text = self.text_encoder(torch.tensor(query, device=images.device))
        return self.predictor(self.fusion(text, self.visual_encoder(images)))


def our_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of ``VLJEPA`` by its names (weights or gradients), under the names and shapes of this file.

    The one place that knows how the two differ: our cross-attention stacks k and v.
    """
    published = {}
    for name, tensor in tensors.items():
        if ".cross.kv." in name:
            published[name.replace(".kv.", ".k.")], published[name.replace(".kv.", ".v.")] = tensor.chunk(2)
        else:
            published[name] = tensor
    return published


def twin_of(model: nn.Module, r: Recipe) -> PublishedVLJEPA:
    """The published model with the weights of a ``VLJEPA`` of the same recipe, on its device, in float32."""
    device = next(model.parameters()).device
    twin = PublishedVLJEPA(r).to(device)
    weights = our_tensors({name: t.float() for name, t in model.state_dict().items()})
    target = {f"target_encoder.{name}": t for name, t in twin.target_encoder.state_dict().items()}
    twin.load_state_dict(weights | target)  # strict: a name that neither has is an error
    return twin


def optimiser_of(twin: PublishedVLJEPA) -> torch.optim.Optimizer:
    """AdamW as a script would call it: PyTorch's default implementation on the device."""
    trainable = [p for p in twin.parameters() if p.requires_grad]
    return torch.optim.AdamW(trainable, lr=twin.recipe.learning_rate, weight_decay=twin.recipe.weight_decay)


def collate(samples: Sequence[Sample], r: Recipe, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images float (B, 3, S, S), ids (B, N) padded to the longest caption of the batch, classes (B,)."""
    images, rows = [], []
    for image, caption, _ in samples:
        pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        if r.normalise == "imagenet":
            pixels = (pixels - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
        images.append(pixels)
        rows.append(tokenizer.encode(caption, r.max_length))
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [tokenizer.PAD] * (longest - len(row)) for row in rows])
    classes = torch.tensor([label for _, _, label in samples])
    return torch.stack(images).to(device), ids.to(device), classes.to(device)


def loss_of(twin: PublishedVLJEPA, samples: Sequence[Sample]) -> Tensor:
    """The loss that a step minimises: next-byte cross-entropy and weighted diversity, or that of the classes."""
    r = twin.recipe
    images, ids, classes = collate(samples, r, next(twin.parameters()).device)
    plan = twin.plan(images)
    if r.objective == "classify":
        return F.cross_entropy(twin.classifier(plan.mean(dim=1)), classes, label_smoothing=r.label_smoothing)
    logits = twin.decoder(plan, ids[:, :-1])
    loss = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        ids[:, 1:].reshape(-1),
        ignore_index=tokenizer.PAD,
        label_smoothing=r.label_smoothing,
    )
    if r.diversity_weight > 0 and len(samples) > 1:
        pooled = F.normalize(plan.mean(dim=1), dim=-1)
        others = ~torch.eye(len(samples), dtype=torch.bool, device=plan.device)
        loss = loss + r.diversity_weight * (pooled @ pooled.T)[others].mean()
    return loss


def train_step(twin: PublishedVLJEPA, optimiser: torch.optim.Optimizer, samples: Sequence[Sample]) -> float:
    """One optimiser step; returns the loss, read at once, as a script that adds losses up does."""
    twin.train()
    optimiser.zero_grad()
    loss = loss_of(twin, samples)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), twin.recipe.grad_clip)
    optimiser.step()
    return loss.item()


@torch.no_grad()
def generate(twin: PublishedVLJEPA, images: Sequence[np.ndarray], temperature: float = 0.0) -> list[str]:
    """Captions of images uint8 (S, S, 3), the whole prefix recomputed for every byte; temperature 0 is greedy."""
    twin.eval()
    r, device, captions = twin.recipe, next(twin.parameters()).device, []
    for start in range(0, len(images), GENERATION_BATCH):
        batch = [(image, "", 0) for image in images[start : start + GENERATION_BATCH]]
        plan = twin.plan(collate(batch, r, device)[0])
        ids = torch.full((len(batch), 1), tokenizer.BOS, device=device)
        ended = torch.zeros(len(batch), dtype=torch.bool, device=device)
        for _ in range(min(r.max_new_tokens, r.max_length - 1)):
            logits = twin.decoder(plan, ids)[:, -1]
            if temperature > 0:
                chosen = torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1)[:, 0]
            else:
                chosen = logits.argmax(dim=-1)
            ids = torch.cat([ids, chosen[:, None]], dim=1)
            ended |= chosen == tokenizer.EOS
            if ended.all():
                break
        captions += [tokenizer.decode(row) for row in ids[:, 1:].tolist()]  # up to its first EOS
    return captions
