"""The study's metrics on cases worked by hand; Bleu and CIDEr; plan geometry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vljepa_core import metrics
from vljepa_core.geometry import plan_geometry

REFERENCES = ["A man riding a Horse.", "two dogs playing in water", "a red bus", ""]
GENERATED = ["a man on a horse", "A man on a horse", "red", "a dog"]


def test_overlap_and_content_match_by_hand() -> None:
    found = metrics.caption_metrics("greedy", REFERENCES, [[r] for r in REFERENCES], GENERATED)
    # {a, man, riding, horse.} & {a, man, on, horse} = 2 of 4 ("horse." keeps its full stop); 0 of 5; 1 of 3; empty
    assert found["greedy_overlap"].value == pytest.approx((2 / 4 + 0 + 1 / 3 + 0) / 4)
    assert found["greedy_content_match"].value == pytest.approx(2 / 4)  # man; none; red; none
    assert found["greedy_unique"].value == 1.0  # exact strings: "a man" and "A man" differ
    assert found["greedy_unique_words"].value == len({"a", "man", "on", "horse", "red", "dog"})


def test_content_words_are_the_published_ones() -> None:
    assert len(metrics.CONTENT_WORDS) == 35
    assert metrics.content_match("SITTING down", "sitting still")
    assert not metrics.content_match("a man.", "a man")  # punctuation is kept, so "man." is no content word


def test_unique_share() -> None:
    assert metrics.unique_share(["a", "a", "b", "a"]).value == 0.5


def test_intervals_are_those_of_a_mean() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(3, 2, 400)
    found = metrics.mean_metric(x)
    half = 1.96 * x.std() / np.sqrt(400)
    assert found.value == pytest.approx(x.mean())
    assert found.low == pytest.approx(x.mean() - half, abs=0.2 * half)
    assert found.high == pytest.approx(x.mean() + half, abs=0.2 * half)
    weighted = metrics.mean_metric([1.0, 3.0], weights=np.array([3, 1]))
    assert weighted.value == pytest.approx(1.5)


def test_bleu_and_cider_without_java() -> None:
    references = [["A dog runs on the beach.", "the dog is running"], ["two red cars", "two cars parked"]] * 3
    drawn = [r[0] for r in references]
    perfect = metrics.score(drawn, references, drawn).metrics()
    wrong = metrics.score(drawn, references, drawn[1:] + drawn[:1]).metrics()
    assert perfect["bleu4"].value == pytest.approx(1.0, abs=1e-3)  # 3-word captions have no 4-gram; corpus level
    assert perfect["cider"].value > 1 > wrong["cider"].value
    assert wrong["cider"].low <= wrong["cider"].value <= wrong["cider"].high
    assert metrics.tokenise("A dog's  ball, RED!") == "a dog s ball red"
    metrics.score(drawn, references, [""] * 6).metrics()  # empty captions are scored, not a crash


def random_captions(rng: np.random.Generator, n: int) -> list[str]:
    """Of two words, so that some 4-grams are shared."""
    return [" ".join(rng.choice(["a", "dog"], rng.integers(1, 12))) for _ in range(n)]


def test_bleu_from_counts_is_pycocoevalcaps() -> None:
    from pycocoevalcap.bleu.bleu import Bleu

    rng = np.random.default_rng(0)
    drawn, second, captions = (random_captions(rng, 60) for _ in range(3))
    references = [list(pair) for pair in zip(drawn, second, strict=True)]
    scores = metrics.score(drawn, references, captions)
    theirs, _ = Bleu(4).compute_score(
        {i: [metrics.tokenise(c) for c in each] for i, each in enumerate(references)},
        {i: [metrics.tokenise(c)] for i, c in enumerate(captions)},
        verbose=0,
    )
    assert scores.bleu4 == pytest.approx(theirs[3]) and theirs[3] > 0.05


def test_cider_is_pycocoevalcaps_on_real_captions(coco_captions: Path) -> None:
    from pycocoevalcap.cider.cider import Cider

    written: dict[int, list[str]] = {}
    for row in json.loads(coco_captions.read_text())["annotations"][:2_000]:
        written.setdefault(row["image_id"], []).append(metrics.tokenise(row["caption"]))
    references = [each[1:] for each in written.values() if len(each) > 1]
    captions = [each[0] for each in written.values() if len(each) > 1]
    captions[:50] = captions[50:100]  # other images' captions; some are worth nothing
    captions[3], captions[4] = "empty", "a a a a a a a a"
    references[5] = ["empty"]
    mean, each = Cider().compute_score(dict(enumerate(references)), {i: [c] for i, c in enumerate(captions)})
    found = metrics.read_references(tuple(map(tuple, references))).cider(captions)
    np.testing.assert_allclose(found, each, rtol=1e-9, atol=1e-12)
    assert mean > 0.3 and (each == 0).any()


def test_cider_of_a_single_image_is_0() -> None:
    assert metrics.score(["a dog"], [["a dog", "the dog"]], ["a dog"]).cider.tolist() == [0.0]


def test_resamples_are_draws_with_replacement() -> None:
    values = np.random.default_rng(2).normal(size=(37, 3))
    rng = np.random.default_rng(0)
    slow = np.stack([values[rng.integers(37, size=37)].sum(axis=0) for _ in range(metrics.BOOTSTRAP_RESAMPLES)])
    np.testing.assert_allclose(metrics.resampled_sums(values), slow, rtol=1e-9, atol=1e-12)


def test_permutation_control_of_captions_that_fit_and_of_one_for_all() -> None:
    rng = np.random.default_rng(1)
    drawn = [f"{word} {i}" for i, word in enumerate(random_captions(rng, 40))]
    references = [[caption] for caption in drawn]
    other = metrics.others(40)
    fits = metrics.caption_metrics("greedy", drawn, references, drawn)
    swapped = metrics.score(drawn, references, [drawn[i] for i in other])
    for name, of_swapped in (
        ("overlap", swapped.overlap.mean()),
        ("cider", swapped.cider.mean()),
        ("bleu4", swapped.bleu4),
    ):
        own, permuted, gain = (fits[f"greedy_{name}{end}"] for end in ("", "_permuted", "_gain"))
        assert permuted.value == pytest.approx(of_swapped)
        assert gain.value == pytest.approx(own.value - permuted.value)
        assert 0 < gain.low < gain.value <= gain.high + 1e-12
    one = metrics.caption_metrics("greedy", drawn, references, ["a dog"] * 40)
    for name in ("overlap", "content_match", "cider", "bleu4"):
        gain = one[f"greedy_{name}_gain"]
        assert gain.value == gain.low == gain.high == 0
        assert one[f"greedy_{name}_permuted"] == one[f"greedy_{name}"]


def test_variety_by_hand() -> None:
    captions = ["A dog runs.", "a dog runs", "A dog runs.", "two cats"]
    found = metrics.variety(captions, {metrics.tokenise(c) for c in ("A DOG, runs", "two cats sleep")})
    assert found["top_caption"].value == 2 / 4  # by exact string
    assert found["distinct_1"].value == 5 / 11  # a dog runs two cats; 3 + 3 + 3 + 2 words
    assert found["distinct_2"].value == 3 / 7  # a-dog, dog-runs, two-cats; 2 + 2 + 2 + 1 pairs
    assert found["verbatim"].value == 3 / 4 and found["verbatim"].low <= 3 / 4 <= found["verbatim"].high
    assert "verbatim" not in metrics.variety(captions)
    assert metrics.variety(["", ""])["distinct_2"].value == 0


def test_cider_of_one_human_against_the_others_is_near_the_known_value(coco_captions) -> None:
    import json

    captions: dict[int, list[str]] = {}
    for annotation in json.loads(coco_captions.read_text())["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    some = [c for c in list(captions.values())[:1000] if len(c) >= 5]
    kept, said = [c[1:5] for c in some], [c[0] for c in some]
    human, chance = (metrics.score([c[0] for c in kept], kept, each) for each in (said, said[1:] + said[:1]))
    assert human.cider.mean() > 0.7  # reported for COCO: about 0.85
    assert chance.cider.mean() < 0.1


def test_classification_by_hand() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])
    found = metrics.classification_metrics(labels, predicted, 4)
    assert found["accuracy"].value == pytest.approx(3 / 5)
    assert found["majority"].value == pytest.approx(3 / 5)
    assert found["balanced_accuracy"].value == pytest.approx((2 / 3 + 1 + 0) / 3)
    matrix = metrics.confusion_matrix(labels, predicted, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_geometry_of_plans_made_by_hand() -> None:
    same = np.tile(np.random.default_rng(0).normal(size=(1, 4, 8)), (6, 1, 1))
    found = plan_geometry(same)
    assert found["plan_cosine"] == pytest.approx(1)
    assert found["plan_rank"] == pytest.approx(1, abs=1e-4)
    assert found["plan_variance_share"] == pytest.approx(0, abs=1e-12)
    assert found["plan_centred_rank"] == 0

    orthogonal = np.repeat(np.eye(6)[:, None], 3, axis=1)  # K equal vectors per image, images orthogonal
    found = plan_geometry(orthogonal)
    assert found["plan_cosine"] == pytest.approx(0, abs=1e-12)
    assert found["plan_rank"] == pytest.approx(6)
    assert found["plan_variance_share"] == pytest.approx(5 / 6)  # six unit vectors about their mean
    assert found["plan_centred_rank"] == pytest.approx(5)  # a simplex fills five dimensions evenly
    assert found["plan_vector_rank"] == 0  # the K vectors of an image are equal

    plans = np.random.default_rng(2).normal(size=(7, 3, 5)) + 1
    pooled = plans.mean(axis=1)
    slow = np.mean(
        [
            pooled[i] @ pooled[j] / np.linalg.norm(pooled[i]) / np.linalg.norm(pooled[j])
            for i in range(7)
            for j in range(7)
            if i != j
        ]
    )
    assert plan_geometry(plans)["plan_cosine"] == pytest.approx(slow)


def rankme(vectors: np.ndarray) -> float:
    """Of the rows about their mean, straight from the definition."""
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    p = singular / singular.sum()
    return float(np.exp(-sum(x * np.log(x) for x in p if x > 1e-12)))


@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_centred_ranks_are_numpys_however_close_the_plans_are(spread: float) -> None:
    rng = np.random.default_rng(3)
    plans = 5 + spread * rng.normal(size=(9, 4, 6)) @ np.diag([4, 2, 1, 0.5, 0.2, 0.1])
    found = plan_geometry(plans)
    assert found["plan_centred_rank"] == pytest.approx(rankme(plans.mean(axis=1)))
    assert found["plan_vector_rank"] == pytest.approx(np.mean([rankme(plan) for plan in plans]), rel=1e-4)


def test_rounding_is_no_direction() -> None:
    rng = np.random.default_rng(4)
    same = np.broadcast_to(rng.normal(size=(1, 1, 32)), (50, 8, 32)).astype(np.float32)
    rounded = same * (1 + 1e-7 * rng.normal(size=same.shape).astype(np.float32))
    found = plan_geometry(rounded)
    assert found["plan_centred_rank"] == found["plan_vector_rank"] == 0


def test_plans_that_are_no_numbers_have_no_geometry() -> None:
    assert all(np.isnan(value) for value in plan_geometry(np.full((3, 2, 4), np.nan)).values())
