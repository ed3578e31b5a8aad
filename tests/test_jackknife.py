"""Intervals of what is no mean: against the textbook where there is one, and by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vljepa_core import metrics
from vljepa_core.geometry import MEASURES, plan_geometry
from vljepa_core.jackknife import GROUPS, jackknife


def test_of_a_mean_it_is_students_t_over_the_groups() -> None:
    x = np.random.default_rng(0).normal(3, 2, 400)
    values, half = jackknife(lambda rows: [x[rows].mean()], 400)
    group = np.random.default_rng(0).permutation(400) % GROUPS
    of_groups = np.array([x[group == g].mean() for g in range(GROUPS)])
    low, high = stats.t.interval(0.95, GROUPS - 1, of_groups.mean(), stats.sem(of_groups))
    assert values[0] == x.mean() and (x.mean() - half[0], x.mean() + half[0]) == pytest.approx((low, high))


def test_with_few_images_one_after_the_other_is_left_out() -> None:
    x = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    low, high = stats.t.interval(0.95, 4, x.mean(), stats.sem(x))
    values, half = jackknife(lambda rows: [x[rows].mean()], 5)
    assert (values[0] - half[0], values[0] + half[0]) == pytest.approx((low, high))


def test_what_no_image_changes_has_no_width_and_what_is_no_number_no_interval() -> None:
    assert jackknife(lambda rows: [1.0, 7.0], 50)[1] == pytest.approx([0, 0])
    assert jackknife(lambda rows: [np.nan], 50)[1] is None and jackknife(lambda rows: [1.0], 1)[1] is None


def plans_of(rng: np.random.Generator, n: int) -> np.ndarray:
    """n plans of 3 x 12 numbers: something in common, and six directions of falling size in which they differ."""
    common = np.linspace(-1, 1, 36).reshape(3, 12)
    own = rng.normal(size=(n, 6)) * [2, 1.5, 1, 0.8, 0.5, 0.3]
    directions = np.random.default_rng(7).normal(size=(6, 36)) / 6
    return common + (own @ directions).reshape(n, 3, 12) + 0.05 * rng.normal(size=(n, 3, 12))


def test_intervals_of_the_plans_geometry_cover() -> None:
    """What 120 images show on average lies in about 95% of the intervals that 120 images give."""
    rng, n = np.random.default_rng(1), 120
    truth = np.mean([list(plan_geometry(plans_of(rng, n)).values()) for _ in range(400)], axis=0)
    inside = np.zeros(len(MEASURES))
    for _ in range(200):
        plans = plans_of(rng, n)
        values, half = jackknife(lambda rows, plans=plans: list(plan_geometry(plans[rows]).values()), n)
        inside += np.abs(values - truth) <= half
    for name, share in zip(MEASURES, inside / 200, strict=True):
        assert 0.88 <= share <= 0.995, (name, share)


def test_intervals_of_the_captions_variety_cover() -> None:
    rng, n = np.random.default_rng(2), 150
    vocabulary = np.array([f"w{i}" for i in range(300)])
    frequency = 1 / np.arange(1, 301) / (1 / np.arange(1, 301)).sum()
    heads = np.array(["a man", "a dog", "two girls"])

    def drawn() -> list[str]:
        """A third of the captions is one of three short ones, the others are words as frequent as Zipf's."""
        free = [" ".join(rng.choice(vocabulary, 6, p=frequency)) for _ in range(n)]
        return [rng.choice(heads, p=[0.6, 0.3, 0.1]) if rng.random() < 1 / 3 else text for text in free]

    def measured(captions: list[str]) -> list[metrics.Metric]:
        found = metrics.variety(captions)
        return [*found.values(), metrics.unique_share(captions), metrics.unique_words(captions)]

    many = [measured(drawn()) for _ in range(250)]
    for name, of_all in zip(
        ["top", "distinct_1", "distinct_2", "unique", "words"], zip(*many, strict=True), strict=True
    ):
        truth = np.mean([m.value for m in of_all])
        share = np.mean([m.low <= truth <= m.high for m in of_all])
        assert 0.88 <= share <= 0.995, (name, share)


def test_variety_is_what_counting_says() -> None:
    captions = ["a dog runs", "a dog runs", "a cat", ""]  # the last one counts as the word "empty"
    found = metrics.variety(captions)
    assert found["top_caption"].value == 2 / 4
    assert found["distinct_1"].value == 5 / 9 and found["distinct_2"].value == 3 / 5
    assert all(0 <= m.low <= m.value <= m.high <= 1 for m in found.values())


def test_bleus_interval_is_a_bootstrap_of_the_corpus() -> None:
    rng = np.random.default_rng(3)
    words = "a the dog man red runs sits on in grass water big two".split()
    references = [[" ".join(rng.choice(words, 7)) for _ in range(2)] for _ in range(60)]
    said = [r[0] if rng.random() < 0.5 else " ".join(rng.choice(words, 7)) for r in references]
    scores = metrics.score([r[0] for r in references], references, said)
    counts = metrics.resamples(60)
    slow = [metrics.corpus_bleu4(np.repeat(scores.bleu, row, axis=0).sum(axis=0)) for row in counts]
    found = scores.metrics()["bleu4"]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))
