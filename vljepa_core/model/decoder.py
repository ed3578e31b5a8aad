"""Latent plan and previous bytes in, next-byte logits out: the three published decoders.

- ``baseline`` (Runs 1, 2): causal self-attention, cross-attention to the plan, MLP.
- ``stronger`` (Run 3): a shared bias from the pooled plan and a gate per block on the cross-attention,
  dropout on the plan.
- ``refactored`` (Run 4): the plan as a prefix, FiLM before self-attention and MLP, "word dropout".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_core import tokenizer
from vljepa_core.model.layers import MLP, CrossAttention, SelfAttention, merge_heads, sincos_1d, split_heads

SPACE = tokenizer.encode(" ", 3)[1]


class FiLM(nn.Module):
    """x * scale + shift from a conditioning vector; starts as the identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 2 * dim)
        nn.init.zeros_(self.project.weight)
        with torch.no_grad():
            self.project.bias.copy_(torch.cat([torch.ones(dim), torch.zeros(dim)]))

    def scale_shift(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """condition (B, D) -> scale and shift (B, 1, D)."""
        scale, shift = self.project(condition)[:, None].chunk(2, dim=-1)
        return scale, shift

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, N, D), condition (B, D) -> (B, N, D)."""
        scale, shift = self.scale_shift(condition)
        return x * scale + shift


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention to all of k for few queries: q (B, H, n, D/H), k and v (B, H, M, D/H) -> (B, n, D).

    Two matrix products: for a single row of queries the fused kernel costs two to four times as much on a CPU.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, n, M)
    return merge_heads(scores.softmax(dim=-1) @ v)


class BlockCache:
    """What one block keeps while captions are decoded.

    Of the plan: keys and values, and what FiLM makes of it (scale and shift), once. Of the bytes: keys and values as
    they come, into buffers of full length, so that a step writes in place and its shapes are known beforehand.
    """

    def __init__(self, block: DecoderBlock, plan: Tensor, pooled: Tensor, length: int) -> None:
        heads = block.attn.heads
        self.plan_keys, self.plan_values = (t.contiguous() for t in block.cross.keys_values(block.norm_plan(plan)))
        self.film_attn = None if block.film_attn is None else block.film_attn.scale_shift(pooled)
        self.film_mlp = None if block.film_mlp is None else block.film_mlp.scale_shift(pooled)
        shape = (len(plan), heads, length, plan.shape[-1] // heads)
        self.keys = self.plan_keys.new_empty(shape)
        self.values = self.plan_keys.new_empty(shape)
        self.filled = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store n new positions; return keys and values of all positions so far."""
        end = self.filled + keys.shape[2]
        self.keys[:, :, self.filled : end] = keys
        self.values[:, :, self.filled : end] = values
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the captions: rows int64 (fewer,)."""
        for name in ("plan_keys", "plan_values", "keys", "values"):
            setattr(self, name, getattr(self, name)[rows])
        for name in ("film_attn", "film_mlp"):
            if (film := getattr(self, name)) is not None:
                setattr(self, name, tuple(t[rows] for t in film))


class DecoderCache:
    """What the decoder keeps while captions are decoded: the plan's bias, and every block's own."""

    def __init__(self, decoder: TextDecoder, plan: Tensor, length: int) -> None:
        pooled = plan.mean(dim=1)
        self.bias = None if decoder.plan_bias is None else decoder.plan_bias(pooled)[:, None]  # (B, 1, D)
        read = decoder.with_memory(plan)
        self.blocks = [BlockCache(block, read, pooled, length) for block in decoder.blocks]

    @property
    def filled(self) -> int:
        """Positions so far, the prefix included."""
        return self.blocks[0].filled

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the captions: rows int64 (fewer,)."""
        self.bias = None if self.bias is None else self.bias[rows]
        for block in self.blocks:
            block.keep(rows)


class DecoderBlock(nn.Module):
    """Causal self-attention, cross-attention to the plan (LayerNorm on both sides), MLP."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int, film: bool, gate_init: float | None) -> None:
        super().__init__()
        self.norm_attn = nn.LayerNorm(dim)
        self.attn = SelfAttention(dim, heads)
        self.norm_cross = nn.LayerNorm(dim)
        self.norm_plan = nn.LayerNorm(dim)
        self.cross = CrossAttention(dim, heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = MLP(dim, mlp_ratio)
        self.film_attn = FiLM(dim) if film else None
        self.film_mlp = FiLM(dim) if film else None
        self.cross_gate = None if gate_init is None else nn.Parameter(torch.tensor(gate_init))

    def forward(
        self,
        x: Tensor,
        plan: Tensor,
        pooled: Tensor,
        plan_bias: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """x (B, N, D), plan and memory (B, K + M, D), pooled (B, D), plan_bias (B, 1, D) -> (B, N, D).

        Causal without ``mask``.
        """
        h = self.norm_attn(x)
        if self.film_attn is not None:
            h = self.film_attn(h, pooled)
        x = x + self.attn(h, mask=mask, causal=mask is None)
        x = x + self._gated(self.cross(self.norm_cross(x), self.norm_plan(plan)), plan_bias)
        h = self.norm_mlp(x)
        if self.film_mlp is not None:
            h = self.film_mlp(h, pooled)
        return x + self.mlp(h)

    def step(self, x: Tensor, plan_bias: Tensor | None, cache: BlockCache) -> Tensor:
        """The same for the next positions x (B, n, D), given the earlier ones: all of n see each other, and n is 1
        but for a prefix."""
        h = self.norm_attn(x)
        if cache.film_attn is not None:
            scale, shift = cache.film_attn
            h = h * scale + shift
        q, k, v = (split_heads(t, self.attn.heads) for t in self.attn.qkv(h).chunk(3, dim=-1))
        x = x + self.attn.out(attend(q, *cache.append(k, v)))
        q = split_heads(self.cross.q(self.norm_cross(x)), self.cross.heads)
        x = x + self._gated(self.cross.out(attend(q, cache.plan_keys, cache.plan_values)), plan_bias)
        h = self.norm_mlp(x)
        if cache.film_mlp is not None:
            scale, shift = cache.film_mlp
            h = h * scale + shift
        return x + self.mlp(h)

    def _gated(self, read: Tensor, plan_bias: Tensor | None) -> Tensor:
        """What cross-attention read of the plan, as it is added to x."""
        if plan_bias is not None:
            read = read + plan_bias
        return read if self.cross_gate is None else torch.sigmoid(self.cross_gate) * read


class TextDecoder(nn.Module):
    """Byte decoder conditioned on a latent plan; see the module's docstring for the variants.

    ``word_dropout_rate`` counts in the ``refactored`` decoder alone. ``word_dropout`` is ``"element"``, what the
    published code does (elements of byte embeddings are zeroed, the rest scaled by 1 / (1 - p)), or ``"token"``,
    what the report says (whole embeddings are zeroed, no rescaling).

    ``input_dropout`` works on every variant: a share of the ``"token"`` s, of the ``"word"`` s (with the space before
    them), or of the captions from BOS to end (``"blank"``) is zeroed at the input, and has to be written all the same:
    what the decoder can't read from the text so far it has to read from the plan. Blanking whole captions is the
    parallel prediction of CapPa (Tschannen et al. 2023).

    ``memory`` vectors of the decoder's own, learned and the same for all images, lie beside the plan where
    cross-attention reads it (persistent memory; Sukhbaatar et al. 2019). They are weights: nothing more is sent.
    """

    def __init__(
        self,
        vocab: int,
        max_length: int,
        plan_vectors: int,
        dim: int,
        heads: int,
        depth: int,
        mlp_ratio: int,
        variant: str,
        cross_gate_init: float,
        plan_dropout: float,
        word_dropout_rate: float,
        word_dropout: str,
        input_dropout: str = "none",
        input_dropout_rate: float = 0.0,
        memory: int = 0,
    ) -> None:
        super().__init__()
        stronger, refactored = variant == "stronger", variant == "refactored"
        self.prefix_length = plan_vectors if refactored else 0
        self.embed = nn.Embedding(vocab, dim)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.positions = nn.Parameter(sincos_1d(torch.arange(max_length + self.prefix_length), dim))
        self.prefix = nn.Linear(dim, dim) if refactored else None
        self.plan_bias = nn.Linear(dim, dim) if stronger else None
        gate = cross_gate_init if stronger else None
        self.blocks = nn.ModuleList(
            DecoderBlock(dim, heads, mlp_ratio, film=refactored, gate_init=gate) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocab, bias=False)
        self.memory = nn.Parameter(torch.randn(memory, dim) * 0.02) if memory else None
        self.plan_dropout = plan_dropout if stronger else 0.0
        self.word_dropout_rate = word_dropout_rate if refactored else 0.0
        self.word_dropout_kind = word_dropout
        self.input_dropout = input_dropout
        self.input_dropout_rate = input_dropout_rate

    def drop_words(self, embedded: Tensor) -> Tensor:
        """Run 4's "word dropout" on byte embeddings (B, N, D), in training mode only."""
        if not self.training or self.word_dropout_rate == 0:
            return embedded
        if self.word_dropout_kind == "element":
            return F.dropout(embedded, self.word_dropout_rate)
        kept = torch.rand(embedded.shape[:2], device=embedded.device) >= self.word_dropout_rate
        return embedded * kept[..., None]

    def drop_input(self, embedded: Tensor, ids: Tensor) -> Tensor:
        """``input_dropout`` on byte embeddings (B, N, D) of ids (B, N), in training mode only."""
        if not self.training or self.input_dropout == "none":
            return embedded
        if self.input_dropout == "token":
            unit = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
        elif self.input_dropout == "word":
            unit = (ids == SPACE).cumsum(dim=1)
        else:
            unit = torch.zeros_like(ids)
        kept = torch.rand(ids.shape, device=ids.device) >= self.input_dropout_rate
        return embedded * kept.gather(1, unit)[..., None]

    def with_memory(self, plan: Tensor) -> Tensor:
        """What cross-attention reads: plan (B, K, D) and the memory (M, D) -> (B, K + M, D)."""
        if self.memory is None:
            return plan
        return torch.cat([plan, self.memory.to(plan.dtype).expand(len(plan), -1, -1)], dim=1)

    def prefix_mask(self, length: int, device: torch.device) -> Tensor | None:
        """bool (length, length): causal, but every position sees the whole prefix. None without a prefix."""
        if self.prefix_length == 0:
            return None
        mask = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        mask[:, : self.prefix_length] = True
        return mask

    def forward(self, plan: Tensor, ids: Tensor) -> Tensor:
        """Teacher forcing: plan (B, K, D), ids (B, N) -> logits (B, N, vocab) of the byte after each."""
        plan = F.dropout(plan, self.plan_dropout, self.training)
        x = self.drop_input(self.drop_words(self.embed(ids)), ids)
        if self.prefix is not None:
            x = torch.cat([self.prefix(plan), x], dim=1)
        x = x + self.positions[: x.shape[1]]
        mask = self.prefix_mask(x.shape[1], x.device)
        pooled = plan.mean(dim=1)
        bias = None if self.plan_bias is None else self.plan_bias(pooled)[:, None]
        read = self.with_memory(plan)
        for block in self.blocks:
            x = block(x, read, pooled, bias, mask)
        return self.head(self.norm(x))[:, self.prefix_length :]

    def start(self, plan: Tensor, max_tokens: int) -> DecoderCache:
        """Begin decoding captions of up to ``max_tokens`` ids from plans (B, K, D); the prefix is read here."""
        cache = DecoderCache(self, plan, self.prefix_length + max_tokens)
        if self.prefix is not None:
            self._advance(self.prefix(plan) + self.positions[: self.prefix_length], cache)
        return cache

    def step(self, ids: Tensor, cache: DecoderCache) -> Tensor:
        """Logits (B, vocab) after the next id (B,) of every caption; extends the cache by one."""
        x = self._advance(self.embed(ids)[:, None] + self.positions[cache.filled], cache)
        return self.head(self.norm(x))[:, 0]

    def _advance(self, x: Tensor, cache: DecoderCache) -> Tensor:
        for block, kept in zip(self.blocks, cache.blocks, strict=True):
            x = block.step(x, cache.bias, kept)
        return x
