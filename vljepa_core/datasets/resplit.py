"""A folder's photographs split anew, so that what was chosen on its validation images can be judged on others.

Whoever compares recipes on the same validation images chooses for these very images. The new validation images are
drawn from those that were trained on so far, on which no recipe was chosen; the old ones are trained on instead.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from vljepa_core.datasets.annotations import Entry, drawn_by_name, read_folder
from vljepa_core.datasets.dataset import DataError
from vljepa_core.files import write_atomically


def resplit(folder: Path, out: Path, seed: int = 1, val: int | None = None) -> dict[str, int]:
    """Make ``out`` a COCO-captions folder with the images of ``folder``, which are linked to, and a split of its own.

    The training images of ``folder`` are ordered by the SHA-256 of "seed:file name"; the first ``val`` are the new
    validation images. All others, the old validation images among them, are for training.

    Args:
        val: number of validation images; as many as there were, by default.

    Returns:
        Images in "train" and in "val".

    Raises:
        DataError: ``folder`` has no split of its own, or too few training images; ``out`` is there already.
    """
    if out.exists() or out.is_symlink():
        raise DataError(f"{out} is there already; name a folder that is not, or remove it first")
    if (folder / "download.json").exists():
        raise DataError(f"{folder} is a sample of COCO; another one: data coco --seed 43 --folder {out}")
    listing = read_folder(folder.resolve())
    train, held = ([e for e in listing.entries if e.split == split] for split in ("train", "val"))
    if not held:
        raise DataError(
            f"{folder}: its files give no split (captions_train*.json and captions_val*.json), so there is none to "
            "draw anew: images are put into val by their names, and always the same ones"
        )
    val = len(held) if val is None else val
    if not 0 < val < len(train):
        raise DataError(f"{folder}: {val:,} validation images can't be drawn from {len(train):,} training images")
    drawn = drawn_by_name(train, seed)
    images = Path(os.path.commonpath([os.path.dirname(entry.path) for entry in listing.entries]))
    part = out.with_name(f".{out.name}.part")  # appears at its place when it is whole; a rest of a killed one goes
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / "images").symlink_to(images, target_is_directory=True)
    about = "; ".join([*listing.descriptions, f"{folder.resolve().name}, split anew with seed {seed}"])
    splits = {"train": drawn[val:] + held, "val": drawn[:val]}
    for split, entries in splits.items():
        made = json.dumps(_coco(entries, images, about), ensure_ascii=False)
        # Not captions_train.json: images/train, where there is one, would then be taken for its folder.
        write_atomically(part / f"captions_{split}_resplit.json", made.encode())
    part.rename(out)
    return {split: len(entries) for split, entries in splits.items()}


def _coco(entries: list[Entry], images: Path, about: str) -> dict:
    """Entries in COCO captions format; their files by where they lie below ``images``."""
    licences = sorted({entry.licence for entry in entries if entry.licence is not None})
    rows, annotations = [], []
    for entry in entries:
        row = {"id": entry.image_id, "file_name": os.path.relpath(entry.path, images)}
        rows.append(row if entry.licence is None else {**row, "license": licences.index(entry.licence)})
        annotations += [{"id": len(annotations) + i, "image_id": entry.image_id, "caption": text}
                        for i, text in enumerate(entry.captions)]  # fmt: skip
    return {
        "info": {"description": about},
        "licenses": [{"id": i, "name": name} for i, name in enumerate(licences)],
        "images": rows,
        "annotations": annotations,
    }
