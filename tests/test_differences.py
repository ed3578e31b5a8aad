"""Report against code: each difference is counted, and the counts are checked another way."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch.nn.functional as F

import vljepa_core
from tests.conftest import TINY
from tests.test_breaks import made_up, metric
from vljepa_core import differences, tokenizer
from vljepa_core.metrics import word_overlap
from vljepa_core.published import DIFFERENCES
from vljepa_core.records import recorded
from vljepa_core.runs import load_model, prepare


def numbers(line: str) -> list[float]:
    return [float(x.replace(",", "")) for x in re.findall(r"\d[\d,]*\.?\d*", line)]


def test_element_dropout_drops_no_word_and_token_dropout_does() -> None:
    element, token = differences.word_dropout(dim=64)
    drawn, whole, zeros, largest = numbers(element)
    assert (drawn, whole) == (differences.EMBEDDINGS, 0) and zeros == pytest.approx(30, abs=0.5)
    assert largest == pytest.approx(1 / 0.7, abs=0.01)
    drawn, whole, zeros, largest = numbers(token)
    assert whole / drawn == pytest.approx(0.3, abs=0.02) and largest == 1.0


def test_pixels_are_what_the_encoder_gets() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    plain, normalised = differences.pixels(images)
    assert numbers(plain)[:2] == [0.0, 1.0]
    # The darkest and the brightest pixel of the three channels, by hand: -0.485 / 0.229 and (1 - 0.406) / 0.225.
    assert "from -2.12 to 2.64" in normalised


def test_the_loss_is_taken_apart_on_the_same_weights(data_dir: Path) -> None:
    settings = dict(TINY, label_smoothing=0.1)
    record = vljepa_core.run("run2", "smoke", "shapes", 0, **settings)
    run = prepare("run2", "smoke", "shapes", 0, **settings)
    model = load_model(run)
    (line,) = differences.final_loss(run.recipe, model, run.examples["train"], record)
    nats = ids = 0
    for image, text in zip(run.examples["train"].images, run.examples["train"].texts, strict=True):  # one by one
        caption = model.query.new_tensor([tokenizer.encode(text, run.recipe.max_length)])
        _, logits = model(model.query.new_tensor(image[None]).byte(), caption[:, :-1])
        nats += F.cross_entropy(logits[0], caption[0, 1:], reduction="sum").item()
        ids += caption.shape[1] - 1
    assert f"; {nats / ids:.3f} without smoothing" in line and f"{record.value('train_loss'):.3f} nats" in line


def test_all_six_are_shown_and_pairs_of_records_are_set_side_by_side(data_dir: Path) -> None:
    small = {**TINY, "epochs": 1, "warmup_epochs": 0}
    runs = [
        vljepa_core.run(experiment, "smoke", "shapes", seed, **small)
        for experiment in ("run2", "run2_imagenet", "run4", "run4_token")
        for seed in (0, 1)
    ]
    run = prepare("run2", "smoke", "shapes", 0, **small)
    found = differences.evidence(run.recipe, load_model(run), run.examples, runs[0], runs)
    assert [each.statement for each in found] == list(DIFFERENCES) and all(each.shown for each in found)
    token = found[0].shown[-1]
    assert "seeds 0, 1" in token and "of 12" in token
    for record in runs[4:]:
        assert f"{record.value('val_loss'):.3f}" in token
    assert len(found[1].shown) == 3
    alone = differences.evidence(run.recipe, load_model(run), run.examples, runs[0])
    assert len(alone[0].shown) == 2, "a pair is claimed where there is none"


def test_what_an_older_core_did_not_have_is_no_second_change() -> None:
    whole, token = (next(r for r in recorded(name) if r.data == "flickr8k") for name in ("run4", "run4_token"))
    older = dataclasses.replace(token, recipe={k: v for k, v in token.recipe.items() if k != "validate_on"})
    for pair in ((whole, token), (whole, older), (older, whole)):
        assert differences._one_change(*pair)
    changed = dataclasses.replace(token, recipe={**token.recipe, "align_memory": 64})
    assert not differences._one_change(whole, changed)


def test_the_published_numbers_are_weak_by_the_published_code() -> None:
    lines = differences.verdict_by_code()
    assert len(lines) == 3 and all("say WEAK or PARTIAL (by" in line and "report FAIL" in line for line in lines)


def test_two_random_coco_captions_overlap_about_as_far_as_the_threshold(coco_captions: Path) -> None:
    """So an overlap that is not reported can lie on either side of the 15% between WEAK and PARTIAL."""
    texts = [row["caption"] for row in json.loads(coco_captions.read_text())["annotations"]]
    rng = np.random.default_rng(0)
    pairs = rng.choice(len(texts), size=(5_000, 2))
    assert np.mean([word_overlap(texts[i], texts[j]) for i, j in pairs]) == pytest.approx(0.158, abs=0.008)


def test_parameters_are_counted() -> None:
    assert "16,930,048 and 8,192" in differences.test0_size()[0]
    assert "equal to the published 16,930,048" in differences.target_encoder()[0]
    assert "NOT" not in differences.target_encoder()[0]


def test_a_pair_says_which_loss_and_which_captions_are_whose() -> None:
    plain = made_up("run4", metrics={"val_loss": metric(0.5), "greedy_unique": metric(0.25)})
    token = made_up("run4_token", metrics={"val_loss": metric(0.75), "greedy_unique": metric(0.5)})
    (said,) = differences.pairs([plain, token], "run4", "run4_token", "dropping whole words")
    assert "goes with a validation loss of 0.750 instead of 0.500 nats per byte" in said
    assert "with 100 instead of 50 distinct greedy captions of 200 images" in said
