"""The model against the published counts, and each of its pieces against a slow, obvious twin."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.conftest import TINY
from vljepa_core.describe import describe, parameters_by_room, step_cost
from vljepa_core.model.decoder import FiLM, TextDecoder
from vljepa_core.model.layers import Block, CrossAttention, SelfAttention, sincos_1d, sincos_2d
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.recipes import RecipeError, recipe

PUBLISHED_PARAMETERS = {"run1": 16_930_048, "run2": 16_930_048, "run3": 16_995_844, "run4": 18_052_608}


@pytest.mark.parametrize(("experiment", "published"), PUBLISHED_PARAMETERS.items())
def test_parameter_counts_are_the_published_ones(experiment: str, published: int) -> None:
    found = describe(recipe(experiment, "paper"))
    assert found["parameters"]["total"] == published
    assert sum(n for room, n in found["parameters"].items() if room != "total") == published
    assert found["plan_bytes"] == 8_192


def test_k_and_d_are_one_keyword() -> None:
    more = describe(recipe("run2", "paper", plan_vectors=32))
    assert more["plan_bytes"] == 16_384
    assert more["parameters"]["total"] == PUBLISHED_PARAMETERS["run2"] + 16 * 256
    assert recipe("run4", "paper", K=32, D=512, depth=6).decoder_depth == 6


# --- attention -----------------------------------------------------------------------------------


def slow_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, visible) -> Tensor:
    """Softmax attention with loops; q (B, N, D), k and v (B, M, D); visible(row, column) -> bool."""
    out = torch.zeros_like(q)
    width = q.shape[-1] // heads
    for b in range(len(q)):
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            for row in range(q.shape[1]):
                columns = [c for c in range(k.shape[1]) if visible(row, c)]
                scores = torch.stack([(q[b, row, part] * k[b, c, part]).sum() for c in columns]) / math.sqrt(width)
                weights = scores.exp() / scores.exp().sum()
                out[b, row, part] = sum(w * v[b, c, part] for w, c in zip(weights, columns, strict=True))
    return out


def everything(row: int, column: int) -> bool:
    return True


def past(row: int, column: int) -> bool:
    return column <= row


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention(causal: bool) -> None:
    torch.manual_seed(0)
    attention, x = SelfAttention(12, 3), torch.randn(2, 5, 12)
    q, k, v = attention.qkv(x).split(12, dim=-1)
    slow = attention.out(slow_attention(q, k, v, 3, past if causal else everything))
    torch.testing.assert_close(attention(x, causal=causal), slow)


def test_cross_attention() -> None:
    torch.manual_seed(0)
    attention, x, context = CrossAttention(12, 3), torch.randn(2, 4, 12), torch.randn(2, 6, 12)
    slow = slow_attention(attention.q(x), *attention.kv(context).chunk(2, dim=-1), 3, everything)
    torch.testing.assert_close(attention(x, context), attention.out(slow))


def test_block_is_pre_norm_with_exact_gelu() -> None:
    torch.manual_seed(0)
    block, x = Block(8, 2, 4), torch.randn(2, 3, 8)
    h = F.layer_norm(x, (8,), block.norm_attn.weight, block.norm_attn.bias)
    y = x + block.attn(h)
    h = block.mlp[0](F.layer_norm(y, (8,), block.norm_mlp.weight, block.norm_mlp.bias))
    gelu = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
    torch.testing.assert_close(block(x), y + block.mlp[2](gelu))


def test_film_is_affine_and_starts_as_identity() -> None:
    torch.manual_seed(0)
    film, x, condition = FiLM(6), torch.randn(2, 3, 6), torch.randn(2, 6)
    torch.testing.assert_close(film(x, condition), x)
    nn.init.normal_(film.project.weight)
    nn.init.normal_(film.project.bias)
    scale_shift = condition @ film.project.weight.T + film.project.bias
    expected = torch.stack([x[b] * scale_shift[b, :6] + scale_shift[b, 6:] for b in range(2)])
    torch.testing.assert_close(film(x, condition), expected)


def test_sincos_positions_have_the_published_norm_and_a_slow_twin() -> None:
    table = sincos_1d(torch.arange(7), 8)
    for position in range(7):
        for i in range(4):
            angle = position / 10000 ** (i / 4)
            assert table[position, i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 4 + i].item() == pytest.approx(math.cos(angle), abs=1e-6)
    assert sincos_1d(torch.arange(128), 256).norm(dim=1).allclose(torch.tensor(math.sqrt(128)))  # 11.3
    grid = sincos_2d(3, 8)  # row-major: patch 5 is row 1, column 2
    torch.testing.assert_close(
        grid[5], torch.cat([sincos_1d(torch.tensor([2]), 4), sincos_1d(torch.tensor([1]), 4)], 1)[0]
    )


# --- decoder -------------------------------------------------------------------------------------


def tiny_model(experiment: str, **changes) -> VLJEPA:
    torch.manual_seed(0)
    model = VLJEPA(recipe(experiment, "smoke", **{**TINY, "depth": 2, **changes}))
    with torch.no_grad():  # zero-initialised FiLM would hide mistakes
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def slow_decoder(decoder: TextDecoder, plan: Tensor, ids: Tensor) -> Tensor:
    """The published decoders written out, dropout off; plan (B, K, D), ids (B, N) -> logits (B, N, V)."""
    k = decoder.prefix_length
    x = decoder.embed(ids)
    if k:
        x = torch.cat([decoder.prefix(plan), x], dim=1)
    x = x + decoder.positions[: x.shape[1]]
    pooled = plan.mean(dim=1)

    def visible(row: int, column: int) -> bool:
        return column < k or column <= row

    for block in decoder.blocks:
        h = block.norm_attn(x)
        if k:
            h = block.film_attn(h, pooled)
        q, key, v = block.attn.qkv(h).chunk(3, dim=-1)
        x = x + block.attn.out(slow_attention(q, key, v, block.attn.heads, visible))
        c = block.cross
        context = block.norm_plan(plan)
        read = c.out(slow_attention(c.q(block.norm_cross(x)), *c.kv(context).chunk(2, dim=-1), c.heads, everything))
        if decoder.plan_bias is not None:
            read = 1 / (1 + torch.exp(-block.cross_gate)) * (read + decoder.plan_bias(pooled)[:, None])
        x = x + read
        h = block.norm_mlp(x)
        if k:
            h = block.film_mlp(h, pooled)
        x = x + block.mlp(h)
    return (decoder.norm(x) @ decoder.head.weight.T)[:, k:]


@pytest.mark.parametrize("experiment", ["run2", "run3", "run4"])
def test_decoder_equals_its_slow_twin(experiment: str) -> None:
    decoder = tiny_model(experiment).decoder
    plan, ids = torch.randn(2, 3, 16), torch.randint(0, 260, (2, 6))
    torch.testing.assert_close(decoder(plan, ids), slow_decoder(decoder, plan, ids), atol=1e-5, rtol=1e-4)


def test_prefix_is_seen_by_all_and_sees_itself_whole() -> None:
    decoder = tiny_model("run4").decoder
    mask = decoder.prefix_mask(7, torch.device("cpu"))
    for row in range(7):
        for column in range(7):
            assert mask[row, column] == (column < 3 or column <= row)


def test_no_byte_sees_the_future() -> None:
    for experiment in ("run2", "run3", "run4"):
        decoder = tiny_model(experiment).decoder
        plan, ids = torch.randn(1, 3, 16), torch.randint(4, 260, (1, 8))
        changed = ids.clone()
        changed[0, 5] = 4 + (ids[0, 5] - 3) % 256
        before, after = decoder(plan, ids), decoder(plan, changed)
        torch.testing.assert_close(before[:, :5], after[:, :5])
        assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_word_dropout_as_coded_and_as_reported() -> None:
    embedded = torch.ones(4, 200, 16)
    as_coded = tiny_model("run4").decoder.train()
    dropped = as_coded.drop_words(embedded)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert not (dropped == 0).all(dim=-1).any()  # no word is ever dropped

    as_reported = tiny_model("run4", word_dropout="token").decoder.train()
    dropped = as_reported.drop_words(embedded)
    words = dropped.mean(dim=-1)
    assert set(words.unique().tolist()) == {0.0, 1.0}  # whole embeddings, not rescaled
    assert (words == 0).float().mean().item() == pytest.approx(0.3, abs=0.06)
    assert as_reported.eval().drop_words(embedded) is embedded


def test_only_run3_drops_the_plan() -> None:
    for experiment, drops in (("run2", False), ("run3", True), ("run4", False)):
        decoder = tiny_model(experiment, word_dropout_rate=0.0).decoder.train()
        plan, ids = torch.randn(2, 3, 16), torch.randint(4, 260, (2, 6))
        assert torch.equal(decoder(plan, ids), decoder(plan, ids)) != drops


# --- the whole -----------------------------------------------------------------------------------


def test_query_encoded_once_equals_query_encoded_per_image() -> None:
    model = tiny_model("run2")
    images = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    pixels = images.permute(0, 3, 1, 2).float() / 255  # captioning runs see [0, 1]
    per_image = model.text_encoder(model.query.repeat(3, 1))
    plan = model.predictor(model.fusion(per_image, model.visual_encoder(pixels)))
    torch.testing.assert_close(model.plan(images), plan)


def test_only_test3_normalises_pixels() -> None:
    assert torch.equal(tiny_model("run2").pixel_mean.flatten(), torch.zeros(3))
    model = tiny_model("test3", classes=5)
    torch.testing.assert_close(model.pixel_mean.flatten() / 255, torch.tensor([0.485, 0.456, 0.406]))


def test_plan_without_residual_forgets_the_query_and_with_it_does_not() -> None:
    plain, residual = tiny_model("run2"), tiny_model("run2", plan_query_residual=True)
    fused = torch.randn(1, 5, 16)
    for model, kept in ((plain, False), (residual, True)):
        with torch.no_grad():
            nn.init.zeros_(model.predictor.cross.kv.weight[16:])  # v: nothing can be read
        rows = model.predictor(fused)[0]
        assert torch.allclose(rows[0], rows[1], atol=1e-5) != kept


def test_without_bottleneck_the_decoder_reads_every_token_and_nothing_else_is_changed() -> None:
    short = dict(plan_reads="image", plan_query_residual=True)
    tokens = (TINY["image_size"] // 8) ** 2
    model = tiny_model("run2", **{**short, "plan_reads": "tokens"}, plan_vectors=tokens)
    images = torch.randint(0, 256, (3, TINY["image_size"], TINY["image_size"], 3), dtype=torch.uint8)
    by_hand = model.look(images)
    for block in model.predictor.blocks:
        by_hand = block(by_hand)
    torch.testing.assert_close(model.plan(images), model.predictor.norm(by_hand))
    with_queries = tiny_model("run2", **short, plan_vectors=tokens)
    only_there = {name.split(".")[1] for name in {*with_queries.state_dict()} - {*model.state_dict()}}
    assert only_there == {"queries", "cross"} and not {*model.state_dict()} - {*with_queries.state_dict()}
    with pytest.raises(RecipeError, match=f"each of the image's {tokens}: set K={tokens}"):
        tiny_model("run2", plan_reads="tokens", plan_vectors=tokens + 1)
    with pytest.raises(RecipeError, match="no such order"):
        recipe("run2", "smoke", plan_reads="tokens", nested_plan=True)


def test_flops_are_those_of_the_matrix_products() -> None:
    """A closed form for one tower: 2 FLOPs per weight and token, forward; twice that backward; attention 4 N^2 D."""
    small = recipe("test3", "smoke", **{**TINY, "classes": 4, "batch_size": 1})
    tokens, d, deep = (16 // 8) ** 2, 16, 1
    query = len(small.query) + 2
    per_block = 12 * d * d
    forward = 2 * tokens * 3 * 64 * d  # patches
    forward += 2 * per_block * tokens * deep + 4 * tokens**2 * d  # visual
    forward += 2 * per_block * query + 4 * query**2 * d  # text
    forward += 2 * (2 * d * d * query + 2 * d * d * tokens) + 4 * query * tokens * d  # fusion: cross
    forward += 2 * per_block * query + 4 * query**2 * d  # fusion: block
    forward += 2 * per_block * query + 4 * query**2 * d  # predictor: block
    forward += 2 * (2 * d * d * 3 + 2 * d * d * query) + 4 * 3 * query * d  # predictor: queries
    forward += 2 * d * 4  # classifier
    assert step_cost(small)["flops"] == pytest.approx(3 * forward, rel=0.1)


def test_describe_counts_a_classifier_too() -> None:
    rooms = parameters_by_room(tiny_model("test3", classes=5))
    assert rooms["classifier"] == 5 * 16 + 5
    assert "decoder" not in rooms
