"""Tokenizer, shapes, category patterns (on the real COCO captions) and the choice of examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TINY
from vljepa_core import runs, tokenizer
from vljepa_core.datasets import DataError, load_dataset
from vljepa_core.datasets.categories import CATEGORIES, categories_named, only_category
from vljepa_core.datasets.shapes import COLOURS, SHAPES, make_shapes, shape_mask
from vljepa_core.recipes import recipe


def test_tokenizer_round_trip_and_cut() -> None:
    for text in ("a red circle", "naïve café 🐕", ""):
        ids = tokenizer.encode(text, 128)
        assert ids[0] == tokenizer.BOS and ids[-1] == tokenizer.EOS
        assert len(ids) == len(text.encode()) + 2
        assert tokenizer.decode(ids) == text
    longest = tokenizer.encode("x" * 126, 128)
    assert len(longest) == 128 and longest[-1] == tokenizer.EOS
    cut = tokenizer.encode("x" * 127, 128)
    assert len(cut) == 128 and tokenizer.EOS not in cut  # the cut drops EOS, as published
    assert tokenizer.decode([4 + 0xC3]) == "�"  # half a character
    table = tokenizer.encode_batch(["ab", "a"], 128)
    assert table.tolist() == [[1, 101, 102, 2], [1, 101, 2, 0]]


def test_shapes_are_as_described() -> None:
    data = make_shapes(540, 90)
    assert data.images.shape == (630, 32, 32, 3)
    captions = [c[0] for c in data.captions]
    assert len(set(captions)) == 18
    for split, each in (("train", 30), ("val", 5)):
        _, counts = np.unique([captions[i] for i in data.splits[split]], return_counts=True)
        assert set(counts) == {each}
    for i in (0, 7, 600):
        colour, shape = captions[i].split()[1:]
        inside = shape_mask(shape, 32)
        pixels = data.images[i] / 255
        assert np.allclose(pixels[inside].mean(axis=0), COLOURS[colour], atol=0.05)
        assert np.allclose(pixels[~inside].mean(axis=0), 0.15, atol=0.01)
        assert pixels[~inside].std() == pytest.approx(0.04, abs=0.005)
    assert make_shapes(540, 90).fingerprint == data.fingerprint != make_shapes(540, 90, seed=1).fingerprint


def test_shapes_have_their_areas() -> None:
    n = 400
    area = {shape: shape_mask(shape, n).mean() * 4 for shape in SHAPES}
    assert area["circle"] == pytest.approx(np.pi * 0.55**2, rel=0.02)
    assert area["square"] == pytest.approx(0.9**2, rel=0.02)
    triangle = shape_mask("triangle", n)
    widths = triangle.sum(axis=1)
    assert (np.diff(widths[widths > 0]) >= 0).all()  # apex up


def test_categories_are_whole_words() -> None:
    assert categories_named("A man walks his dog past parked cars.") == {"person", "dog", "vehicle"}
    assert categories_named("A mannequin in a carpet shop") == set()
    assert only_category("Two DOGS and a puppy") == "dog"
    assert only_category("a man on a horse") is None
    assert len(CATEGORIES) == 20


def test_real_coco_captions_are_half_unambiguous_and_mostly_people(coco_captions: Path, capsys) -> None:
    """2,336 of 5,000 with the published draw; another draw moves it a little."""
    from pycocotools.coco import COCO

    coco = COCO(str(coco_captions))
    images = sorted(coco.imgs)
    assert (len(images), len(coco.anns)) == (5_000, 25_014)
    rng = np.random.default_rng(0)
    named = []
    for image in images:
        captions = coco.imgToAnns[image]
        named.append(only_category(captions[rng.integers(len(captions))]["caption"]))
    unambiguous = [name for name in named if name is not None]
    assert len(unambiguous) / 5_000 == pytest.approx(0.467, abs=0.02)
    assert unambiguous.count("person") / len(unambiguous) == pytest.approx(0.284, abs=0.03)


def test_data_that_does_not_exist_is_refused_with_what_does(data_dir: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'scenes'.*captions_"):
        load_dataset("scense", recipe("run2", "smoke"), data_dir)


def test_difficulty_is_part_of_the_name_of_the_data(data_dir: Path) -> None:
    small = recipe("run2", "smoke", n_train=20, n_val=5, image_size=32)
    plain, easy = (load_dataset(data, small, data_dir) for data in ("scenes", "scenes:0"))
    assert (plain.name, easy.name) == ("scenes", "scenes-level0")
    assert max(len(c[0]) for c in easy.captions) < 20 < max(len(c[0]) for c in plain.captions)
    assert load_dataset("scenes:3", small, data_dir).fingerprint == plain.fingerprint
    with pytest.raises(DataError, match="0.*4"):
        load_dataset("scenes:9", small, data_dir)


def test_test0_is_always_shapes(data_dir: Path) -> None:
    assert load_dataset("no/such/folder", recipe("test0", "smoke"), data_dir).name == "shapes"


def test_fewer_images_than_wanted_are_all_used_and_said(data_dir: Path, capsys) -> None:
    run = runs.prepare("run2", "smoke", "shapes", **TINY)
    from vljepa_core.datasets.selection import select

    chosen = select(run.dataset, recipe("run2", "smoke", **{**TINY, "n_train": 1_000}), 0)
    assert len(chosen["train"]) == 40
    assert "40 train images" in capsys.readouterr().err


def test_classification_keeps_the_unambiguous(data_dir: Path) -> None:
    changes = dict(n_train=300, n_val=60, image_size=32)
    run = runs.prepare("test3", "smoke", "scenes", **changes)
    everything = runs.prepare("run2", "smoke", "scenes", **changes)
    kept, names = run.examples["train"], tuple(run.dataset.categories)
    assert 0.3 < len(kept) / 300 < 0.7
    assert len(everything.examples["train"]) == 300
    for text, label in zip(kept.texts, kept.labels, strict=True):
        assert only_category(text) == names[label]
    with pytest.raises(DataError, match="names exactly one"):
        from vljepa_core.datasets.dataset import Dataset
        from vljepa_core.datasets.selection import select

        blank = [["nothing to see"]] * len(run.dataset.captions)
        d = run.dataset
        select(Dataset("blank", d.images, blank, d.image_ids, d.splits, "", ""), run.recipe, 0)
