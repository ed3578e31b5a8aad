"""Probes on matrices whose information is known, and intervals that cover."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vljepa_core import probes
from vljepa_core.probes import probe


def lengths(n: int, seed: int = 0) -> np.ndarray:
    """Captions' own log-likelihoods: some are short, some are long; (n, 1)."""
    return -np.random.default_rng(seed).gamma(9.0, 5.0, (n, 1))


def classes(n: int, bits: int, nats: float) -> np.ndarray:
    """A decoder that knows which of 2^bits equally frequent classes the image is of, and nothing else."""
    label = np.arange(n) % 2**bits
    return lengths(n) - nats * (label[:, None] != label)


@pytest.mark.parametrize("bits", [1, 3, 5])
@pytest.mark.parametrize("nats", [20.0, 400.0])
def test_b_bits_are_measured_as_b_bits_however_sure_the_decoder_is(bits: int, nats: float) -> None:
    n = 1024
    found = probe(classes(n, bits, nats))
    assert found["infonce"].low <= bits <= found["infonce"].high
    assert found["infonce"].value == pytest.approx(bits, abs=0.05)
    # Among n/2^b ties each is equally likely to be first: R@1 is 2^b/n exactly, in both directions.
    for way in ("image", "caption"):
        assert np.log2(n * found[f"{way}_r1"].value) == pytest.approx(bits)
        assert found[f"{way}_median_rank"].value == pytest.approx((n / 2**bits + 1) / 2)
    # The gap grows with the decoder's confidence, not with what it knows.
    assert found["shuffle_gap"].value == pytest.approx(nats / np.log(2) * (n - n / 2**bits) / (n - 1))


@pytest.mark.parametrize("n", [8, 51, 300])
def test_a_blind_decoder_is_exactly_at_chance(n: int) -> None:
    found = probe(np.repeat(lengths(n), n, axis=1).astype(np.float32))
    for name, value in probes.chance(n).items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert found[name].low <= value <= found[name].high
    assert found["infonce"].value == found["infonce"].low == found["infonce"].high == 0


def test_rounding_errors_are_not_information() -> None:
    n = 200
    rounded = np.repeat(lengths(n), n, axis=1) + np.random.default_rng(0).uniform(-4e-5, 4e-5, (n, n))
    found = probe(rounded)
    assert found["image_r1"].value == pytest.approx(1 / n) and abs(found["infonce"].value) < 1e-3


def test_noise_carries_no_bits() -> None:
    values = [
        probes.infonce(lengths(300) + np.random.default_rng(s).normal(size=(300, 300)), seed=s).low for s in range(10)
    ]
    assert max(values) <= 0.02


def test_a_quarter_whose_captions_are_all_told_apart_does_not_set_the_temperature_alone() -> None:
    """A decoder that is as sure as it is right, so that b = 1 is best, and right in nine of ten cases among 200."""
    rng, n, spread = np.random.default_rng(0), 200, 0.3
    images = rng.normal(size=(n, 6))
    said = images + spread * rng.normal(size=images.shape)
    scores = -((said[:, None] - images) ** 2).sum(axis=2) / (2 * spread**2)
    assert 0.85 < probes.retrieval(scores)["r1"].value < 0.95
    apart = []
    for seed in range(20):
        rest, b = probes.measured_part(scores, seed)
        order = np.random.default_rng(seed).permutation(n)
        apart.append(probes.retrieval(scores[np.ix_(order[:50], order[:50])])["r1"].value)
        logits = rest - rest.max(axis=1, keepdims=True)
        best = np.log2(len(rest)) + np.mean(np.diagonal(logits) - np.log(np.exp(logits).sum(axis=1))) / np.log(2)
        assert probes.infonce(scores, seed).value == pytest.approx(best, abs=0.25), (seed, b)
    assert max(apart) == 1.0 and min(apart) < 1.0, "some quarters hold no mistake to learn from"


def test_the_prior_is_the_captions_not_the_images() -> None:
    n = 60
    scores = lengths(n) + 1.0 * np.eye(n)  # every image makes its caption likelier, by less than captions differ
    assert probes.retrieval(scores)["r1"].value == 1
    assert probes.retrieval(scores.T)["r1"].value < 0.1  # the shortest caption wins
    assert probes.retrieval(probes.without_prior(scores).T)["r1"].value == 1
    p = np.exp(scores)
    assert probes.without_prior(scores) == pytest.approx(np.log(p / p.mean(axis=1, keepdims=True)))


def test_ranks_are_means_over_orders_of_the_ties() -> None:
    rng = np.random.default_rng(3)
    scores = rng.integers(-3, 0, (8, 8)).astype(float)
    r1, r5, ranks = [], [], []
    for i, row in enumerate(scores):
        ahead, level = (row > row[i]).sum(), (row == row[i]).sum()
        places = [ahead + order.index(0) + 1 for order in itertools.permutations(range(min(level, 6)))]
        if level > 6:
            places = [ahead + k + 1 for k in range(level)]
        r1.append(np.mean([p <= 1 for p in places]))
        r5.append(np.mean([p <= 5 for p in places]))
        ranks.append(np.mean(places))
    found = probes.retrieval(scores)
    assert found["r1"].value == pytest.approx(np.mean(r1)) and found["r5"].value == pytest.approx(np.mean(r5))
    assert found["median_rank"].value == pytest.approx(np.median(ranks))
    curve = probes.recall_curve(scores)
    assert curve[0] == pytest.approx(np.mean(r1)) and curve[4] == pytest.approx(np.mean(r5)) and curve[-1] == 1


def test_gap_by_hand() -> None:
    scores = np.full((8, 8), -10.0) + 3 * np.eye(8)
    scores[0, 1] = -7.0
    assert probes.shuffle_gap(scores).value == pytest.approx((3 - 3 / 56) / np.log(2))


def test_intervals_cover_at_about_their_nominal_rate() -> None:
    """Images differ in what they show and in how well they explain any caption: rows and columns depend on each other.

    200 draws: a nominal 95% interval covers in 179 or more of them with probability 0.999. A recall's may be wider.
    """
    values, intervals = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = 80
        image = rng.normal(size=(n, 2))
        caption = image + 0.4 * rng.normal(size=(n, 2))
        scores = -2 * np.square(caption[:, None] - image).sum(-1) - 40 + 0.7 * rng.normal(size=n)
        found = probe(scores, seed=seed)
        values.append([m.value for m in found.values()])
        intervals.append([(m.low, m.high) for m in found.values()])
    truth = np.mean(values, axis=0)
    low, high = np.moveaxis(np.array(intervals), -1, 0)
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)
    for name, share in zip(found, covered, strict=True):
        assert share >= 0.895, (name, share)
        if "_r" not in name and "rank" not in name:
            assert share <= 0.995, (name, share)


@pytest.mark.parametrize("scores", [np.zeros((8, 9)), np.zeros(8), np.zeros((3, 3)), np.full((8, 8), np.nan)])
def test_what_is_no_matrix_of_scores_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        probe(scores)
