"""Data by name: ``shapes``, ``scenes``, or any folder of images with COCO captions."""

from __future__ import annotations

import re
from pathlib import Path

from vljepa_core.datasets.dataset import DataError, Dataset
from vljepa_core.recipes import Recipe, did_you_mean

__all__ = ["DataError", "Dataset", "load_dataset"]

GENERATED = ("shapes", "scenes")


def load_dataset(data: str, recipe: Recipe, cache_dir: Path, progress: bool = False) -> Dataset:
    """The data a recipe is run on.

    Test 0 is defined on ``shapes`` and always gets it. Generated data has as many images as the recipe draws;
    a folder has what it has.

    Args:
        data: ``shapes``; ``scenes``, or ``scenes:LEVEL`` for another difficulty than the COCO-like one (0, like
            Test 0, to 4); or the path of a folder with ``images/`` and ``captions_*.json``.

    Raises:
        DataError: no such data, or a folder that can't be used.
    """
    # Imported where used: each pulls in libraries that the other kinds of data do not need.
    if recipe.experiment == "test0" or data == "shapes":
        from vljepa_core.datasets.shapes import make_shapes

        return make_shapes(recipe.n_train, recipe.n_val, recipe.image_size)
    if re.fullmatch(r"scenes(:\d+)?", data):
        from vljepa_core.datasets.scenes import COCO_LIKE, make_scenes

        return make_scenes(
            recipe.n_train,
            recipe.n_val,
            recipe.image_size,
            difficulty=int(data.partition(":")[2] or COCO_LIKE),
            cache_dir=cache_dir / "scenes",
            progress=progress,
        )
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"DATA={data}: neither a known name ({', '.join(GENERATED)}) nor a folder; {did_you_mean(data, GENERATED)}"
            "a folder holds images/ and captions_*.json in COCO captions format"
        )
    from vljepa_core.datasets.coco import load_coco_folder

    return load_coco_folder(
        folder, recipe.image_size, preprocess=recipe.preprocess, cache_dir=cache_dir / "coco", progress=progress
    )
