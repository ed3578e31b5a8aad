"""What linear probes read: planted labels are found where they were put and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.conftest import TINY
from vljepa_core import linear_probes, metrics, runs, tokenizer
from vljepa_core.datasets.categories import PATTERNS, CategoryFinder
from vljepa_core.datasets.selection import Examples
from vljepa_core.figures.units import PROBES
from vljepa_core.linear_probes import (
    answers,
    as_sent,
    best_penalty,
    category_probes,
    class_labels,
    colour_histogram,
    frozen_plans,
    scored,
    standardised,
    trivial_answers,
    untrained,
)
from vljepa_core.metrics import Metric
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.plan_probes import unrounded
from vljepa_core.recipes import recipe

RECIPE = recipe("run2", "smoke", **TINY)
N, N_VAL = 300, 200


def labels_for(n: int, seed: int, classes: int = 3) -> np.ndarray:
    """One class has half of the images, the others share the rest."""
    shares = [0.5] + [0.5 / (classes - 1)] * (classes - 1)
    return np.random.default_rng(seed).choice(classes, n, p=shares)


def noise(n: int, seed: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def accuracy(train: np.ndarray, y: np.ndarray, val: np.ndarray, y_val: np.ndarray) -> float:
    return float((answers(train, y, val) == y_val).mean())


@pytest.fixture(scope="module")
def y() -> tuple[np.ndarray, np.ndarray]:
    return labels_for(N, 1), labels_for(N_VAL, 2)


# ---------------------------------------------------------------- planted labels


def test_a_label_in_one_pixel_is_read_from_the_pixels_only() -> None:
    y, y_val = labels_for(1500, 1, 2), labels_for(N_VAL, 2, 2)
    x, x_val = noise(1500, 3, 8), noise(N_VAL, 4, 8)
    for images, labels in ((x, y), (x_val, y_val)):
        images[:, 5, 7, 1] = 255 * labels  # one of 192 values
    assert accuracy(x, y, x_val, y_val) > 0.97
    assert accuracy(colour_histogram(x), y, colour_histogram(x_val), y_val) == pytest.approx(0.5, abs=0.1)


def test_a_label_in_the_colour_is_read_from_the_histogram(y) -> None:
    tints = np.array([[40, 0, 0], [0, 40, 0], [0, 0, 40]])
    images = [
        (noise(len(labels), seed).astype(int) * 0.8 + tints[labels][:, None, None]).astype(np.uint8)
        for seed, labels in ((3, y[0]), (4, y[1]))
    ]
    for each in images:  # places say nothing: every picture's pixels are shuffled
        rng = np.random.default_rng(9)
        for image in each:
            rng.shuffle(image.reshape(-1, 3))
    assert accuracy(colour_histogram(images[0]), y[0], colour_histogram(images[1]), y[1]) > 0.95


def test_shuffled_labels_are_worth_the_largest_class() -> None:
    """Features that would tell the classes apart perfectly, with labels that belong to other images."""
    found = []
    for seed in range(5):
        y, y_val = labels_for(N, seed), labels_for(N_VAL, 100 + seed)
        x, x_val = (np.eye(3)[each] + np.random.default_rng(seed).normal(0, 0.1, (len(each), 3)) for each in (y, y_val))
        assert accuracy(x, y, x_val, y_val) > 0.98
        found.append(accuracy(x, np.random.default_rng(seed).permutation(y), x_val, y_val) - (y_val == 0).mean())
    assert abs(np.mean(found)) < 0.03


# ---------------------------------------------------------------- what the probe may see


def test_nothing_of_the_validation_images_moves_the_probe(y) -> None:
    """Answers to an image don't depend on the other images asked; and no validation label is ever passed."""
    rng = np.random.default_rng(0)
    x, x_val = rng.normal(size=(N, 20)), rng.normal(size=(N_VAL, 20))
    x[:, 0] += y[0]
    whole = answers(x, y[0], x_val)
    assert np.array_equal(whole[:7], answers(x, y[0], x_val[:7]))
    assert np.array_equal(whole[:7], answers(x, y[0], np.concatenate([x_val[:7], 1e6 + x_val[7:]]))[:7])


def test_standardised_is_of_the_training_images() -> None:
    rng = np.random.default_rng(0)
    x, x_val = rng.normal(5, [1, 100, 1e-6], (200, 3)), rng.normal(7, 1, (9, 3))
    x = np.hstack([x, np.full((200, 1), 3.0)])  # constant: left out
    x_val = np.hstack([x_val, np.full((9, 1), 8.0)])
    z, z_val = standardised(x, x_val)
    assert z.shape == (200, 3) and z_val.shape == (9, 3)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0) * np.sqrt(3), 1, rtol=1e-5)
    np.testing.assert_allclose(
        z_val, (x_val[:, :3] - x[:, :3].mean(axis=0)) / x[:, :3].std(axis=0) / np.sqrt(3), rtol=1e-5
    )


def test_the_spanned_space_changes_no_answer(y) -> None:
    """More features than rows: the same classifier as scikit-learn's on all features."""
    rng = np.random.default_rng(0)
    x, x_val = rng.normal(size=(60, 500)), rng.normal(size=(80, 500))
    x[:, :50] += y[0][:60, None]
    x_val[:, :50] += y[1][:80, None]
    z, z_val = standardised(x, x_val)
    assert z.shape[1] < 60
    mean, std = x.mean(axis=0), x.std(axis=0)
    full, full_val = ((each - mean) / std / np.sqrt(500) for each in (x, x_val))
    np.testing.assert_allclose(z @ z.T, full @ full.T, atol=1e-5)
    for c in (0.1, 10.0):
        a, b = (LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(f, y[0][:60]) for f in (z, full))
        np.testing.assert_allclose(a.predict_proba(z_val), b.predict_proba(full_val), atol=1e-3)


def test_the_penalty_is_chosen_by_what_the_other_folds_answer() -> None:
    rng = np.random.default_rng(0)
    y = labels_for(N, 1)
    assert best_penalty(rng.normal(size=(N, 5)), rng.permutation(y)) < 1000  # noise is not to be learned by heart
    clear = np.eye(3)[y] / 30 + rng.normal(0, 1e-4, (N, 3))
    assert best_penalty(clear, y) > min(linear_probes.PENALTIES)  # shrunk to nothing, only the largest class is said
    assert best_penalty(np.zeros((N, 1)), y) == min(linear_probes.PENALTIES)  # of equals the one that shrinks most


def test_rare_classes_and_a_class_of_the_validation_images_alone() -> None:
    rng = np.random.default_rng(0)
    y = np.array([0] * 30 + [1] * 28 + [2])  # the last is in one fold only
    y_val = np.array([0, 1, 2, 5])
    x, x_val = (np.eye(6)[each] + rng.normal(0, 0.05, (len(each), 6)) for each in (y, y_val))
    got = answers(x, y, x_val)
    assert list(got[:2]) == [0, 1] and got[3] in (0, 1, 2)
    balanced = scored("p", y_val, got)["probe_p_balanced"]
    assert balanced.value == pytest.approx(np.mean(got == y_val)) and balanced.n == 4
    same = answers(x, np.zeros(len(y), dtype=int), x_val)
    assert (same == 0).all()
    assert (answers(np.ones((59, 4)), y, np.ones((4, 4))) == 0).all()  # features that say nothing


# ---------------------------------------------------------------- numbers and intervals


def test_scores_by_hand() -> None:
    y = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    got = scored("p", y, np.array([0, 0, 0, 1, 1, 0, 0, 0]))
    assert got["probe_p"].value == 0.5
    assert got["probe_p_balanced"].value == pytest.approx((0.75 + 0.5 + 0) / 3)
    trivial = trivial_answers(np.array([0, 0, 0, 1]), y)
    assert trivial["probe_majority"].value == 0.5 and trivial["probe_majority_balanced"].value == pytest.approx(1 / 3)
    assert trivial["probe_chance"].value == pytest.approx(4 / 8 * 0.75 + 2 / 8 * 0.25)
    assert trivial["probe_chance_balanced"].value == pytest.approx((0.75 + 0.25 + 0) / 3)


def test_chance_is_what_guessing_gives() -> None:
    y, y_val = labels_for(400, 1, 5), labels_for(300, 2, 5)
    rng = np.random.default_rng(0)
    guesses = rng.choice(y, (4000, 300))
    found = trivial_answers(y, y_val)["probe_chance"]
    assert found.value == pytest.approx((guesses == y_val).mean(), abs=0.003)


def test_the_interval_of_balanced_accuracy_covers(monkeypatch) -> None:
    """95% of the intervals of samples hold the mean recall of the distribution they are drawn from."""
    shares, recall = np.array([0.5, 0.3, 0.2]), np.array([0.9, 0.5, 0.3])
    monkeypatch.setattr(metrics, "BOOTSTRAP_RESAMPLES", 300)
    rng, inside = np.random.default_rng(0), []
    for _ in range(200):
        y = rng.choice(3, 200, p=shares)
        m = linear_probes.scored_as("p", y, (rng.random(200) < recall[y]).astype(float))["probe_p_balanced"]
        inside.append(m.low <= recall.mean() <= m.high)
    assert 0.89 <= np.mean(inside) <= 0.99


# ---------------------------------------------------------------- plans


def test_fp16_keeps_what_its_steps_can_show_and_nothing_finer(y) -> None:
    """Near 1 half precision goes in steps of 2^-10: a label of that size arrives, one of a hundredth of it doesn't."""
    x, x_val = (np.ones((len(each), 4, 8), dtype=np.float32) for each in y)
    for size, arrives in ((2.0**-10, True), (2.0**-17, False)):
        for plans, labels in ((x, y[0]), (x_val, y[1])):
            plans[:, 1, 2] = 1 + size * labels
        assert accuracy(x, y[0], x_val, y[1]) == 1.0  # in float32 both are read perfectly, however small
        sent = accuracy(as_sent(x), y[0], as_sent(x_val), y[1])
        assert sent == (1.0 if arrives else (y[1] == 0).mean())


def test_untrained_is_the_model_before_its_training_and_leaves_the_random_stream_alone() -> None:
    torch.manual_seed(7)
    first = VLJEPA(RECIPE)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    again = untrained(first, RECIPE, 7)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))


def test_where_autocast_knows_no_device_nothing_has_to_be_switched_off() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with unrounded(torch.device("cpu")):
            assert not torch.is_autocast_enabled("cpu")
        with unrounded(torch.device("mps")):
            assert torch.is_autocast_enabled("cpu")


def test_frozen_plans_are_the_models_and_in_full_precision() -> None:
    torch.manual_seed(0)
    model, images = VLJEPA(RECIPE), noise(9, 0)
    with torch.no_grad():
        expected = model.eval().plan(torch.from_numpy(images)).numpy()
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plans = frozen_plans(model, images)
    assert plans.dtype == np.float32 and model.training
    np.testing.assert_allclose(plans, expected, atol=1e-6)


def examples(n: int, seed: int) -> tuple[Examples, np.ndarray]:
    """Noise whose brightness says which of two categories its caption names; every third caption names both."""
    labels = labels_for(n, seed, 2)
    images = (noise(n, seed) // 3 + 150 * labels[:, None, None, None]).astype(np.uint8)
    texts = [f"a {('dog', 'cat')[c]} on a mat" if i % 3 else "a dog and a cat" for i, c in enumerate(labels)]
    ids = tokenizer.encode_batch(texts, RECIPE.max_length)
    return Examples(images, list(range(n)), texts, [[t] for t in texts], ids, None), labels


def test_a_runs_probes() -> None:
    (train, y), (val, y_val) = examples(240, 1), examples(120, 2)
    finder = CategoryFinder(PATTERNS)
    known = class_labels(val.texts, finder)
    assert (known[::3] == -1).all() and (known[1::3] == np.array([1, 2])[y_val[1::3]]).all()
    model = VLJEPA(RECIPE)
    split = {"train": train, "val": val}
    # A trained model, as far as probes can tell: its plans hold the brightness, but for the first vector.
    plans = {name: np.ones((len(e), 3, 16), np.float32) for name, e in split.items()}
    for name, e in split.items():
        plans[name][:, 1:] += 1e-6 * e.images.mean(axis=(1, 2, 3), dtype=np.float32)[:, None, None]
    found = category_probes(model, plans, RECIPE, split, PATTERNS, 0)
    assert set(found) == {f"{name}{b}" for name in PROBES if name != "probe_features" for b in ("", "_balanced")}
    assert all(isinstance(m, Metric) and m.low <= m.value <= m.high and m.n == 80 for m in found.values())
    largest = np.bincount(np.delete(y, np.s_[::3])).argmax()
    assert found["probe_majority"].value == (np.delete(y_val, np.s_[::3]) == largest).mean()
    for name in ("pixels", "colour", "plan"):
        assert found[f"probe_{name}"].value > 0.95, name
    assert found["probe_plan_fp16"] == found["probe_majority"]  # a millionth of 1 does not arrive
    few = {"train": train, "val": examples(12, 3)[0]}
    assert category_probes(model, {"train": plans["train"], "val": plans["val"][:12]}, RECIPE, few, PATTERNS, 0) == {}


def test_every_record_holds_its_probes_and_neighbours(data_dir) -> None:
    changes = {**TINY, "n_val": 24}
    run = runs.prepare("run2", "smoke", "shapes", 0, **changes)
    record = runs.run("run2", "smoke", "shapes", 0, **changes)
    of_all = [name for name in PROBES if name != "probe_features"]  # that is of runs with a frozen network
    assert {f"{name}{b}" for name in of_all for b in ("", "_balanced")} <= set(record.metrics)
    assert record.value("probe_colour") > record.value("probe_majority")
    train, val = run.examples["train"], run.examples["val"]
    for i, row in enumerate(record.captions):
        distances = np.square(train.images.astype(float) - val.images[i]).sum(axis=(1, 2, 3))
        assert row["pixel_neighbour"] == train.image_ids[distances.argmin()]
        assert row["plan_neighbour"] in train.image_ids
    said = [train.texts[train.image_ids.index(row["pixel_neighbour"])] for row in record.captions]
    same = [a == b for a, b in zip(said, val.texts, strict=True)]
    assert record.value("pixel_neighbour_overlap") >= np.mean(same) > 0.5
    test3 = runs.run("test3", "smoke", "shapes", 0, **changes)
    assert "probe_plan" in test3.metrics and "plan_neighbour_cider" not in test3.metrics
    blind = runs.run("run2_blind", "smoke", "shapes", 0, **changes)
    assert not {name for name in blind.metrics if name.startswith("probe_") or "neighbour" in name}
