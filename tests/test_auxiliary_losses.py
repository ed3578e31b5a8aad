"""Every further loss does what its name says on a case worked by hand or by a slow obvious loop."""

from __future__ import annotations

import math

import pytest
import torch

from vljepa_core import auxiliary_losses as losses
from vljepa_core.datasets.word_bags import BUCKETS, LONGEST, NO_WORD, word_bag, word_bags


def test_infonce_is_the_loss_of_a_guess_among_n_and_0_for_a_perfect_match() -> None:
    unit = torch.eye(4)
    assert losses.infonce(unit, unit, torch.tensor(math.log(100.0))).item() == pytest.approx(0, abs=1e-6)
    same = unit[:1].expand(4, -1)
    assert losses.infonce(same, same, torch.tensor(0.0)).item() == pytest.approx(math.log(4))
    wrong = losses.infonce(unit, unit.roll(1, 0), torch.tensor(math.log(10.0))).item()
    assert wrong == pytest.approx(math.log(3 + math.exp(10)), rel=1e-4)


def test_siglip_against_a_double_loop() -> None:
    torch.manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(5, 3), dim=-1) for _ in range(2))
    scale, shift = torch.tensor(0.7), torch.tensor(-1.3)
    slow = 0.0
    for i in range(5):
        for j in range(5):
            z = math.exp(0.7) * float(a[i] @ b[j]) - 1.3
            slow += math.log(1 + math.exp(-z if i == j else z))
    assert losses.siglip(a, b, scale, shift).item() == pytest.approx(slow / 5, rel=1e-5)


def test_vicreg_by_hand_and_zero_for_spread_uncorrelated_rows() -> None:
    rows = 2 * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert losses.vicreg(rows).item() == pytest.approx(0, abs=1e-6)
    assert losses.vicreg(torch.ones(4, 2)).item() == pytest.approx(1 - 0.01, abs=1e-3)  # deviation sqrt(1e-4)
    together = rows[:, :1].expand(-1, 2)  # covariance 16/3 between the two numbers, twice
    assert losses.vicreg(together).item() == pytest.approx(2 * (16 / 3) ** 2 / 2 / 25, rel=1e-5)
    assert losses.vicreg(torch.ones(1, 2)).item() == 0


def test_sigreg_is_about_1_for_normal_rows_and_large_for_collapsed_or_shrunken_ones() -> None:
    torch.manual_seed(0)
    normal = torch.randn(512, 16)
    found = losses.sigreg(normal).item()
    assert 0.3 < found < 2
    assert losses.sigreg(torch.zeros(512, 16)).item() > 50 * found
    assert losses.sigreg(0.3 * normal).item() > 10 * found
    assert losses.sigreg(torch.stack([normal, 0 * normal])).item() > losses.sigreg(normal[None]).item()


def test_sigreg_against_the_integral_by_quadrature() -> None:
    """One direction in one dimension: N times the integral of |ecf - exp(-t^2/2)|^2 exp(-t^2/2)."""
    x = torch.tensor([[0.3], [-1.2], [2.0]])
    t = torch.linspace(-5, 5, 20_001)
    ecf = torch.exp(1j * x * t).mean(dim=0)
    normal = torch.exp(-t.square() / 2)
    exact = 3 * torch.trapezoid((ecf - normal).abs().square() * normal, t).item()
    assert losses.sigreg(x).item() == pytest.approx(exact, rel=0.02)


def test_words_loss_is_the_mean_surprise_of_the_words_that_are_there() -> None:
    logits = torch.zeros(2, 8)
    words = torch.tensor([[3, 5, NO_WORD], [2, NO_WORD, NO_WORD]])
    assert losses.words_loss(logits, words).item() == pytest.approx(math.log(8))
    logits[0, 3] = logits[0, 5] = 50.0
    logits[1, 2] = 50.0
    assert losses.words_loss(logits, words).item() == pytest.approx(
        math.log(2) / 2, abs=1e-5
    )  # two words share the first


def test_hinge_asks_for_the_margin_and_no_more() -> None:
    own, other = torch.tensor([10.0, 10.0]), torch.tensor([12.0, 30.0])
    assert losses.hinge(own, other, 5.0).item() == pytest.approx((3 + 0) / 2)


def test_a_nested_plan_keeps_its_first_vectors_and_numbers_and_half_of_the_plans_stay_whole() -> None:
    torch.manual_seed(0)
    plan = torch.randn(4_000, 6, 16) + 10  # no zeros of its own
    kept = losses.nested(plan) != 0
    vectors, numbers = kept[:, :, 0].sum(dim=1), kept[:, 0].sum(dim=1)
    assert set(vectors.tolist()) == {1, 2, 4, 6} and set(numbers.tolist()) == {2, 4, 8, 16}
    rectangle = (torch.arange(6) < vectors[:, None])[..., None] & (torch.arange(16) < numbers[:, None])[:, None]
    assert torch.equal(kept, rectangle)
    whole = ((vectors == 6) & (numbers == 16)).float().mean().item()
    assert whole == pytest.approx(0.5, abs=0.03), "those that are cut keep 1, 2 or 4 of 6"


def test_a_view_is_a_part_of_its_image() -> None:
    torch.manual_seed(0)
    flat = torch.full((50, 3, 16, 16), 0.5)
    seen = losses.view(flat)
    assert seen.shape == flat.shape
    assert (seen.amax(dim=(2, 3)) - seen.amin(dim=(2, 3)) < 1e-5).all(), "of one colour, whatever part it is"
    assert 0.29 < seen.min() and seen.max() < 0.71, "brighter or darker by at most 40%"
    ramp = torch.linspace(0, 1, 16).expand(50, 3, 16, 16)
    spread = losses.view(ramp)
    spread = (spread.amax(dim=3) - spread.amin(dim=3)) / spread.amax(dim=3).clamp(min=1e-6)
    assert spread.std() > 0.05, "large and small parts"


def test_word_bags_are_the_distinct_words_hashed() -> None:
    assert word_bag("A dog, a DOG!") == word_bag("a dog") and len(word_bag("a dog")) == 2
    assert word_bag("") == []
    long = " ".join(f"word{i}" for i in range(60))
    table = word_bags(["a dog runs", "", long])
    assert table.shape == (3, LONGEST) and (table[1] == NO_WORD).all()
    assert (table[0] != NO_WORD).sum() == 3 and (table[2] != NO_WORD).sum() == LONGEST
    assert 0 < word_bag(long)[0] < BUCKETS
