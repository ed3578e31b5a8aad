"""The study's metrics on cases worked by hand; Bleu and CIDEr; plan geometry."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_core import metrics
from vljepa_core.geometry import plan_geometry

REFERENCES = ["A man riding a Horse.", "two dogs playing in water", "a red bus", ""]
GENERATED = ["a man on a horse", "A man on a horse", "red", "a dog"]


def test_overlap_and_content_match_by_hand() -> None:
    found = metrics.caption_metrics("greedy", REFERENCES, GENERATED)
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
    perfect = metrics.bleu_cider("x", references, [r[0] for r in references])
    wrong = metrics.bleu_cider("x", references, [r[0] for r in references[1:] + references[:1]])
    assert perfect["x_bleu4"].value == pytest.approx(1.0, abs=1e-3)  # 3-word captions have no 4-gram; corpus level
    assert perfect["x_cider"].value > 1 > wrong["x_cider"].value
    assert wrong["x_cider"].low <= wrong["x_cider"].value <= wrong["x_cider"].high
    assert metrics.tokenise("A dog's  ball, RED!") == "a dog s ball red"
    metrics.bleu_cider("x", references, [""] * 6)  # empty captions are scored, not a crash


def test_cider_of_one_human_against_the_others_is_near_the_known_value(coco_captions) -> None:
    import json

    captions: dict[int, list[str]] = {}
    for annotation in json.loads(coco_captions.read_text())["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    some = [c for c in list(captions.values())[:1000] if len(c) >= 5]
    human = metrics.bleu_cider("h", [c[1:5] for c in some], [c[0] for c in some])
    chance = metrics.bleu_cider("c", [c[1:5] for c in some], [c[0] for c in some[1:] + some[:1]])
    assert human["h_cider"].value > 0.7  # reported for COCO: about 0.85
    assert chance["c_cider"].value < 0.1


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

    orthogonal = np.repeat(np.eye(6)[:, None], 3, axis=1)  # K equal vectors per image, images orthogonal
    found = plan_geometry(orthogonal)
    assert found["plan_cosine"] == pytest.approx(0, abs=1e-12)
    assert found["plan_rank"] == pytest.approx(6)
    assert found["plan_variance_share"] == pytest.approx(5 / 6)  # six unit vectors about their mean

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
