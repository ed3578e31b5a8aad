"""Test 0's synthetic shapes, as published: 6 colours x 3 shapes on grey, with noise.

Coordinates run from -1 to 1 across the image. Circle: radius 0.55; square: half-side 0.45; triangle:
apex up, within the circle's box. Background 0.15; Gaussian noise of sigma 0.04; clipped to [0, 1].
The study does not print its caption text; here it is "a red circle" and so on, and colour and shape
are recovered from generated text by word.
"""

from __future__ import annotations

import numpy as np

from vljepa_core.datasets.dataset import Dataset, fingerprint

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (1, 0, 0),
    "green": (0, 0.8, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "cyan": (0, 1, 1),
    "white": (1, 1, 1),
}
SHAPES = ("circle", "square", "triangle")
BACKGROUND, NOISE = 0.15, 0.04


def shape_mask(shape: str, image_size: int) -> np.ndarray:
    """Which pixels the shape covers, bool ``(S, S)``."""
    axis = np.linspace(-1, 1, image_size)
    x, y = np.meshgrid(axis, axis)  # y grows downwards
    if shape == "circle":
        return x**2 + y**2 <= 0.55**2
    if shape == "square":
        return np.maximum(abs(x), abs(y)) <= 0.45
    if shape == "triangle":  # from the apex at the top to a base as wide as the circle
        top, bottom, half_base = -0.55, 0.45, 0.55
        return (y >= top) & (y <= bottom) & (abs(x) <= half_base * (y - top) / (bottom - top))
    raise ValueError(f"unknown shape {shape!r}; known: {', '.join(SHAPES)}")


def make_shapes(n_train: int = 540, n_val: int = 90, image_size: int = 32, seed: int = 0) -> Dataset:
    """The shapes dataset; every one of the 18 combinations appears equally often (up to rounding).

    Train and validation images of one combination differ in their noise alone, as in the study:
    Test 0 asks whether the pipeline works, not whether it generalises.
    """
    kinds = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    chosen = [kinds[i % len(kinds)] for i in range(n_train)] + [kinds[i % len(kinds)] for i in range(n_val)]
    rng = np.random.default_rng(seed)
    images = np.empty((len(chosen), image_size, image_size, 3), dtype=np.uint8)
    for i, (colour, shape) in enumerate(chosen):
        image = np.full((image_size, image_size, 3), BACKGROUND)
        image[shape_mask(shape, image_size)] = COLOURS[colour]
        image += rng.normal(0, NOISE, image.shape)
        images[i] = np.rint(np.clip(image, 0, 1) * 255)
    captions = [[f"a {colour} {shape}"] for colour, shape in chosen]
    ids: list[int | str] = list(range(len(chosen)))
    splits = {"train": np.arange(n_train), "val": np.arange(n_train, n_train + n_val)}
    return Dataset(
        name="shapes",
        images=images,
        captions=captions,
        image_ids=ids,
        splits=splits,
        fingerprint=fingerprint(images, captions, ids, splits),
        source="Synthetic shapes drawn by this project after the study's description; no third-party material.",
        categories={f"{colour} {shape}": (f"{colour} {shape}",) for colour, shape in kinds},
    )
