"""The blind memoriser against brute force, closed form and torch's own loss; trivial captions."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import vljepa_core
from vljepa_core import baselines, metrics, tokenizer
from vljepa_core.baselines import blind_memoriser, of_run, smoothing_floor, with_trivial
from vljepa_core.datasets.selection import Examples
from vljepa_core.objectives import caption_loss
from vljepa_core.published import PUBLISHED
from vljepa_core.recipes import recipe
from vljepa_core.records import Record, read_record


def following(captions: list[str], max_length: int) -> dict[tuple, Counter]:
    """Prefix -> what follows it, by brute force."""
    trie: dict[tuple, Counter] = defaultdict(Counter)
    for caption in captions:
        ids = tokenizer.encode(caption, max_length)
        for i in range(1, len(ids)):
            trie[tuple(ids[:i])][ids[i]] += 1
    return trie


def optimum(counts: Counter, smoothing: float) -> np.ndarray:
    """The best distribution at a prefix: the mean smoothed target."""
    q = np.full(tokenizer.VOCAB_SIZE, smoothing / tokenizer.VOCAB_SIZE)
    for symbol, count in counts.items():
        q[symbol] += (1 - smoothing) * count / counts.total()
    return q


@pytest.mark.parametrize("seed", range(12))
def test_memoriser_equals_brute_force_on_random_corpora(seed: int) -> None:
    rng = random.Random(seed)
    alphabet = ["ab", "abé", "xyz "][seed % 3]
    captions = ["".join(rng.choices(alphabet, k=rng.randrange(7))) for _ in range(rng.randrange(1, 40))]
    for max_length in (2, 4, 64):
        for smoothing in (0.0, 0.1, 0.5):
            nats = predicted = 0
            for counts in following(captions, max_length).values():
                q = optimum(counts, smoothing)
                nats -= counts.total() * float((q[q > 0] * np.log(q[q > 0])).sum())
                predicted += counts.total()
            assert blind_memoriser(captions, max_length, smoothing) == pytest.approx(nats / predicted, abs=1e-12)


def test_memoriser_in_closed_form() -> None:
    different = [f"{i:03}" for i in range(500)]
    assert blind_memoriser(different, 128) == pytest.approx(math.log(500) / 4)  # three digits and EOS
    repeated = ["ab"] * 3 + ["cde"]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert blind_memoriser(repeated, 128) == pytest.approx(4 * entropy / (3 * 3 + 4))
    assert blind_memoriser(["always this"] * 9, 128) == 0
    assert blind_memoriser(["always this"] * 9, 128, 0.1) == pytest.approx(smoothing_floor(0.1))
    assert blind_memoriser(["a", "b"], 128, 1e-12) == pytest.approx(math.log(2) / 2)
    with pytest.raises(ValueError, match="nothing to predict"):
        blind_memoriser([], 128)


def test_memoriser_is_the_minimum_of_the_loss_that_is_trained() -> None:
    captions = ["ab", "ab", "abc", "b", "ba"]
    ids = torch.from_numpy(tokenizer.encode_batch(captions, 64).astype(np.int64))
    trie = following(captions, 64)
    prefixes = {prefix: i for i, prefix in enumerate(trie)}
    table = torch.tensor(np.stack([np.log(optimum(c, 0.1)) for c in trie.values()]), requires_grad=True)
    at = torch.tensor([[prefixes.get(tuple(row[: i + 1]), 0) for i in range(len(row) - 1)] for row in ids.tolist()])

    def loss(logits: torch.Tensor) -> torch.Tensor:  # a blind model: its logits depend on the prefix alone
        return caption_loss(logits[at], ids, 0.1)

    best = loss(table)
    assert best.item() == pytest.approx(blind_memoriser(captions, 64, 0.1), abs=1e-12)
    (slope,) = torch.autograd.grad(best, table)
    assert slope.abs().max() < 1e-12  # convex in the logits: no slope, no better answer
    draws = torch.Generator().manual_seed(0)
    for size in (0.01, 0.3, 2.0):
        other = table.detach() + size * torch.randn(table.shape, generator=draws, dtype=table.dtype)
        assert loss(other) > best


def test_smoothing_floor() -> None:
    assert smoothing_floor(0.0) == 0
    target = torch.full((260,), 0.1 / 260, dtype=torch.float64)
    target[7] += 0.9
    assert smoothing_floor(0.1) == pytest.approx(float(-(target * target.log()).sum()))
    assert round(smoothing_floor(0.1), 3) == PUBLISHED["run2"].baselines["train_loss"][1].value


def coco(path) -> list[list[str]]:
    captions: dict[int, list[str]] = {}
    for annotation in json.loads(path.read_text())["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    return list(captions.values())


def test_memoriser_on_the_real_captions_is_as_published(coco_captions) -> None:
    captions = random.Random(0).sample([c for each in coco(coco_captions) for c in each], 18_000)
    assert blind_memoriser(captions, 128) == pytest.approx(0.1835, abs=0.0005)
    smoothed = blind_memoriser(captions, 128, 0.1)
    assert smoothed == pytest.approx(PUBLISHED["run2"].baselines["train_loss"][0].value, abs=0.0005)


def test_score_is_what_the_metrics_say() -> None:
    references = [["A dog runs on the beach.", "the dog is running"], ["two red cars", "two cars parked"], ["a cat"]]
    captions = ["a dog on a beach", "", "the cat"]
    ours = baselines.score(references, captions).metrics()
    theirs = metrics.caption_metrics("x", [r[0] for r in references], references, captions)
    for name, metric in ours.items():
        assert metric == theirs[f"x_{name}"]


def test_every_image_gets_another_ones_caption() -> None:
    for n in (2, 3, 50):
        other = baselines.others(n)
        assert sorted(other) == list(range(n)) and (other != np.arange(n)).all()


def test_hold_out_takes_the_last_of_several() -> None:
    assert baselines.hold_out([["a", "b", "c"], ["d"]]) == ([["a", "b"], ["d"]], ["c", None])


def test_the_constant_caption_says_what_most_images_show() -> None:
    references = [["a man on a horse", "a man rides a horse"]] * 6 + [["two cats", "cats on a sofa"], ["a red bus"]]
    candidates = ["a man on a horse", "two cats", "a red bus", "nothing of the kind at all", ""]
    assert baselines.constant_caption(references, candidates) == "a man on a horse"


def test_trivial_captions_are_ordered_on_the_real_captions(coco_captions) -> None:
    some = coco(coco_captions)[:250]
    kept, human = baselines.hold_out(some)
    constant = baselines.constant_caption(kept, [c for each in kept for c in each])
    other = baselines.others(len(some))
    cider = [
        baselines.score(kept, answer).cider.mean()
        for answer in ([kept[i][0] for i in other], [constant] * len(some), human)
    ]
    assert cider[0] < 0.06 < cider[1] < 0.3 < cider[2]


def test_a_run_has_baselines_of_its_own_data() -> None:
    """Twenty images of two kinds: a constant caption is right for half of them, the second caption for all."""
    kinds = ["a red dog", "a small cat"] * 10
    images = np.zeros((20, 8, 8, 3), dtype=np.uint8)
    again = [[text, text.replace("a ", "the ")] for text in kinds]
    ids = tokenizer.encode_batch(kinds, 128)
    examples = Examples(images, list(range(20)), kinds, again, ids, None)
    r = recipe("run2", "smoke")
    found = baselines.of_run(r, {"train": examples, "val": examples})
    by_label = {b.label: b.value for b in found["greedy_content_match"]}
    assert by_label["same image, another caption"] == 1.0
    constant = next(value for label, value in by_label.items() if label == "best constant caption")
    assert constant == pytest.approx(0.5)
    chance = baselines.others(20)
    assert by_label["another image's caption"] == pytest.approx(
        np.mean([kinds[i] == kinds[j] for i, j in enumerate(chance)])
    )
    floors = baselines.loss_floors(r, {"train": examples, "val": examples})
    assert list(floors.values()) == [b.value for b in found["train_loss"]][:2], "and the memoriser without smoothing"
    assert min(floors.values()) == pytest.approx(baselines.smoothing_floor(0.1))
    assert baselines.of_run(recipe("test3", "smoke"), {}) == {}
    every = recipe("run2", "smoke", captions="all")  # twice as many captions, and what they are is harder to guess
    texts = [text for each in again for text in each]
    harder = baselines.loss_floors(every, {"train": examples, "val": examples})
    memoriser = "blind memoriser of the training captions"
    assert harder[memoriser] == blind_memoriser(texts, every.max_length, 0.1) > floors[memoriser]
    assert baselines.of_run(every, {"train": examples, "val": examples})["train_loss"][-1].value == blind_memoriser(
        texts, 128
    )


def test_on_equal_terms_everything_meets_the_same_references() -> None:
    """Pictures of two kinds; what each answer says is chosen so that its score is known."""
    kinds = ["a red dog", "a small cat"] * 10
    images = np.zeros((20, 8, 8, 3), dtype=np.uint8)
    references = [[text, f"this is {text} here", f"here is {text}"] for text in kinds]
    texts = [each[0] for each in references]
    val = Examples(images, list(range(20)), texts, references, tokenizer.encode_batch(texts, 128), None)
    train = dataclasses.replace(val, image_ids=[f"t{i}" for i in range(20)])
    rows = [
        {"image_id": i, "greedy": kinds[i], "sampled": "nothing of it", "nats": 1.0,
         "pixel_neighbour": f"t{i}", "plan_neighbour": f"t{(i + 1) % 20}"}
        for i in range(20)
    ]  # fmt: skip
    fields = dict.fromkeys((f.name for f in dataclasses.fields(Record)), None)
    record = Record(**{**fields, "captions": rows, "recipe": {"plan_source": "image"}, "seed": 0, "metrics": {},
                       "experiment": "run2", "data": "toy", "dataset": {"fingerprint": "f"}})  # fmt: skip
    blind_rows = [{"image_id": i, "sampled": kinds[0], "nats": 2.0} for i in range(20)]
    blind = dataclasses.replace(record, recipe={"plan_source": "none"}, captions=blind_rows)
    found = baselines.on_equal_terms(record, {"train": train, "val": val}, [record, blind])
    overlap = {name: metrics["overlap"].value for name, metrics in found.items()}
    assert overlap["greedy"] == overlap["nearest by pixels"] == overlap["another human"] == 1.0
    assert overlap["t = 0.7"] == 0.0 and overlap["nearest by plans"] == pytest.approx(1 / 3)  # the article
    assert overlap["trained blind model, t = 0.7"] == pytest.approx((1 + 1 / 3) / 2)
    assert overlap["best constant caption"] == pytest.approx((1 + 1 / 3) / 2)
    kept = [each[:2] for each in references]
    human = baselines.score(kept, [each[2] for each in references])
    assert found["another human"]["cider"] == human.metrics()["cider"]
    assert found["another human"]["bleu4"].value < 1  # the third reference itself is put aside
    some = [{k: v for k, v in row.items() if k != "greedy" or row["image_id"] > 0} for row in rows]
    without = baselines.on_equal_terms(dataclasses.replace(record, captions=some), {"train": train, "val": val})
    assert "greedy" not in without and without["t = 0.7"] == found["t = 0.7"], "one of them repeats a person's"
    alone = dataclasses.replace(val, references=[each[:1] for each in references])
    assert baselines.on_equal_terms(record, {"train": train, "val": alone}) == {}
    with pytest.raises(ValueError, match="was not judged on these images"):
        baselines.on_equal_terms(record, {"train": val, "val": train})


def test_a_kept_record_holds_the_floors_of_its_own_data(data_dir: Path, tmp_path: Path) -> None:
    place = ("run2", "smoke", "shapes", 0)
    record, made = vljepa_core.run(*place), vljepa_core.prepare(*place)
    floored = with_trivial(record, made.examples)
    floored.save(tmp_path / "kept.json")
    read = read_record(tmp_path / "kept.json").trivial
    assert read == {
        name: [{"label": line.label, "value": line.value} for line in lines]
        for name, lines in of_run(made.recipe, made.examples).items()
    }
    texts, longest = made.examples["train"].texts, made.recipe.max_length
    smoothed, _, plain = read["train_loss"]
    assert smoothed["value"] == blind_memoriser(texts, longest, 0.1, 260) > plain["value"]
    assert plain["value"] == blind_memoriser(texts, longest) and plain["label"].endswith("without smoothing")
    with pytest.raises(ValueError, match="not judged on these images"):
        with_trivial(record, vljepa_core.prepare("run2", "smoke", "shapes", 0, n_val=8).examples)
