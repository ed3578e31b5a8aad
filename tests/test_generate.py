"""Decoding with a cache equals decoding by recomputing every prefix."""

from __future__ import annotations

import pytest
import torch

from tests.test_model import tiny_model
from vljepa_core import tokenizer
from vljepa_core.generate import generate


def recompute(decoder, plan: torch.Tensor, max_new_tokens: int) -> list[str]:
    """Greedy decoding as published: the whole prefix again for every byte, one caption at a time."""
    captions = []
    for each in plan:
        ids = [tokenizer.BOS]
        while len(ids) <= max_new_tokens and ids[-1] != tokenizer.EOS:
            ids.append(int(decoder(each[None], torch.tensor([ids]))[0, -1].argmax()))
        captions.append(tokenizer.decode(ids[1:]))
    return captions


@pytest.mark.parametrize("experiment", ["run2", "run3", "run4"])
@torch.no_grad()
def test_cached_greedy_equals_recomputation(experiment: str) -> None:
    decoder = tiny_model(experiment).decoder
    decoder.head.weight.mul_(5)  # decided logits: a tie would be a coin toss between two right answers
    plan = torch.randn(9, 3, 16) * 3
    slow = recompute(decoder, plan, 30)
    assert generate(decoder, plan, 30) == slow
    assert len(set(slow)) > 1  # plans matter, or equality would say little


@torch.no_grad()
def test_captions_do_not_depend_on_their_batch() -> None:
    decoder = tiny_model("run4").decoder
    plan = torch.randn(6, 3, 16)
    together = generate(decoder, plan, 20)
    assert [generate(decoder, each[None], 20)[0] for each in plan] == together


@torch.no_grad()
def test_end_of_caption_and_limits() -> None:
    decoder = tiny_model("run2").decoder
    decoder.head.weight.zero_()
    plan = torch.randn(2, 3, 16)
    decoder.head.weight[tokenizer.EOS] = 0
    decoder.norm.weight.zero_()
    decoder.norm.bias.fill_(1.0)
    decoder.head.weight[4 + ord("x")] = 1.0  # always x
    assert generate(decoder, plan, 5) == ["xxxxx"] * 2
    assert [len(c) for c in generate(decoder, plan, 1000)] == [47] * 2  # as many as there are positions
    decoder.head.weight[tokenizer.EOS] = 2.0  # always EOS
    assert generate(decoder, plan, 5) == ["", ""]


@torch.no_grad()
def test_sampling_is_seeded_and_follows_the_distribution() -> None:
    decoder = tiny_model("run2").decoder
    plan = torch.randn(1, 3, 16).repeat(3000, 1, 1)
    draw = generate(decoder, plan, 1, 0.7, torch.Generator().manual_seed(3))
    assert draw == generate(decoder, plan, 1, 0.7, torch.Generator().manual_seed(3))
    assert draw != generate(decoder, plan, 1, 0.7, torch.Generator().manual_seed(4))
    logits = decoder(plan[:1], torch.tensor([[tokenizer.BOS]]))[0, -1]
    probability = torch.softmax(logits / 0.7, dim=-1)
    ascii_ids = torch.arange(4 + 32, 4 + 127)
    expected = probability[ascii_ids].sum().item()
    got = sum(len(c) == 1 and 32 <= ord(c) < 127 for c in draw) / len(draw)
    assert got == pytest.approx(expected, abs=0.04)
