"""Data by name: ``shapes``, ``scenes``, ``coco``, or any folder of images with COCO captions."""

from __future__ import annotations

import re
from pathlib import Path

from vljepa_core.datasets.dataset import DataError, Dataset
from vljepa_core.files import data_dir
from vljepa_core.recipes import Recipe, did_you_mean

__all__ = ["DataError", "Dataset", "load_dataset"]

NAMES = ("shapes", "scenes", "coco")


def load_dataset(data: str, recipe: Recipe, cache_dir: Path, progress: bool = False) -> Dataset:
    """The data a recipe is run on.

    Test 0 is defined on ``shapes`` and always gets it. Generated data has as many images as the recipe draws;
    a folder has what it has.

    Args:
        data: ``shapes``; ``scenes``, or ``scenes:LEVEL`` for another difficulty than the COCO-like one (0, like
            Test 0, to 4); ``coco``, fetched by ``python -m vljepa_core data coco``; or the path of a folder with
            ``images/`` and ``captions_*.json``, or of one that ``data coco`` made.

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
    folder = find_folder(data)
    if (folder / "download.json").exists():
        from vljepa_core.datasets.downloaded import load_downloaded

        return load_downloaded(folder, recipe.image_size, recipe.preprocess)
    from vljepa_core.datasets.coco import load_coco_folder

    return load_coco_folder(
        folder, recipe.image_size, preprocess=recipe.preprocess, cache_dir=cache_dir / "coco", progress=progress
    )


def find_folder(data: str) -> Path:
    """The folder that ``data`` names.

    Raises:
        DataError: there is no such folder, or COCO has not been fetched.
    """
    folder = data_dir() / "coco" if data == "coco" else Path(data).expanduser()
    if folder.is_dir():
        return folder
    if data == "coco":
        raise DataError(f"DATA=coco: {folder} is not there; fetch it: make data, or python -m vljepa_core data coco")
    raise DataError(
        f"DATA={data}: neither a known name ({', '.join(NAMES)}) nor a folder; {did_you_mean(data, NAMES)}"
        "a folder holds images/ and captions_*.json in COCO captions format"
    )
