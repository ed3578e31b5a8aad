"""What a dataset holds, as text: for a person who is about to train on it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from vljepa_core.datasets import find_folder
from vljepa_core.datasets.annotations import Listing, read_folder
from vljepa_core.datasets.categories import CATEGORIES, only_category
from vljepa_core.datasets.coco import MAX_CAPTION_BYTES, assemble, open_pixels
from vljepa_core.datasets.dataset import DataError, Dataset
from vljepa_core.datasets.downloaded import CAPTIONS, load_downloaded, read_manifest
from vljepa_core.files import data_dir

FEW = 10


def check(data: str, image_size: int = 64, preprocess: str = "squash") -> tuple[str, bool]:
    """The report on ``coco`` or a folder, and whether a run could use it.

    Every image is decoded once, into the cache that a run would use.

    Raises:
        DataError: generated data, no such folder, or no captions in it.
    """
    if re.fullmatch(r"shapes|scenes(:\d+)?", data):
        raise DataError(f"{data}: drawn by this package, so that nothing of it is refused; name coco, or a folder")
    folder = find_folder(data).resolve()
    downloaded = read_manifest(folder) is not None
    listing = read_folder(folder, images=folder if downloaded else None)
    unusable, dataset, problem = list(listing.unusable), None, None
    try:
        if downloaded:
            dataset = load_downloaded(folder, image_size, preprocess)
            listed = {entry.image_id for entry in listing.entries} - set(dataset.image_ids)
            unusable += [(e.file_name, "missing from the download") for e in listing.entries if e.image_id in listed]
        else:
            cache, _ = open_pixels(
                folder, listing, image_size, preprocess, data_dir() / "cache" / "coco", progress=True
            )
            dataset = assemble(folder, listing, cache, preprocess)
            unusable += [tuple(pair) for pair in cache.notes["unusable"]]
    except DataError as error:
        problem = str(error)
    parts = [f"{folder}", _images(listing, dataset, downloaded), _captions(listing), _categories(listing)]
    parts.append(_duplicates(dataset, image_size) if dataset else "duplicates: not looked for, see the end")
    parts += [_licences(listing), _refused(listing, dataset, unusable)]
    if problem:
        parts.append(f"NOT USABLE AS IT IS\n  {problem}")
    return "\n\n".join(parts), problem is None


def _images(listing: Listing, dataset: Dataset | None, downloaded: bool) -> str:
    lines = [f"  {listing.counts['images listed']:>9,} listed in {', '.join(listing.files)}"]
    if dataset:
        lines.append(f"  {len(dataset.images):>9,} used")
        lines += [f"  {len(rows):>9,} {split}" for split, rows in dataset.splits.items()]
        lines.append(f"  fingerprint {dataset.fingerprint}")
    if downloaded:
        lines.append(f"  pixels only, fetched by `data coco`; captions in {CAPTIONS}")
    return "images\n" + "\n".join(lines)


def _captions(listing: Listing) -> str:
    each = Counter(len(entry.captions) for entry in listing.entries)
    lengths = np.array([len(c.encode()) for e in listing.entries for c in e.captions] or [0])
    long = int((lengths > MAX_CAPTION_BYTES).sum())
    per_image = ", ".join(f"{n} for {count:,}" for n, count in sorted(each.items()))
    quantiles = np.percentile(lengths, [0, 25, 50, 75, 95, 100]).astype(int)
    return "\n".join([
        "captions",
        f"  {sum(n * count for n, count in each.items()):>9,} usable; per image: {per_image}",
        "  bytes: " + ", ".join(f"{name} {v}" for name, v in
                                zip(("least", "25%", "median", "75%", "95%", "most"), quantiles, strict=True)),
        f"  {long:>9,} exceed {MAX_CAPTION_BYTES} bytes ({long / len(lengths):.2%}); the tokenizer cuts them",
    ])  # fmt: skip


def _categories(listing: Listing) -> str:
    named = Counter(only_category(caption) for entry in listing.entries for caption in entry.captions)
    everything, unambiguous = named.total(), named.total() - named[None]
    title = f"categories (captions that name exactly one of the study's {len(CATEGORIES)}"
    if not unambiguous:
        return f"{title})\n  none: no Test 3 on this data"
    lines = [f"  {n:>9,} {n / unambiguous:>6.1%} {name}" for name, n in named.most_common() if name]
    absent = [name for name in CATEGORIES if not named[name]]
    lines += [f"  none: {', '.join(absent)}"] if absent else []
    largest = next(name for name, _ in named.most_common() if name)
    return "\n".join([
        f"{title}: {unambiguous:,} of {everything:,})",
        *lines,
        f"  majority share {named[largest] / unambiguous:.1%}: what always answering {largest!r} scores in Test 3",
    ])  # fmt: skip


def _duplicates(dataset: Dataset, image_size: int) -> str:
    """Between the splits, where they would let a model score by remembering."""
    pixels: dict[bytes, list[int]] = defaultdict(list)
    for row in range(len(dataset.images)):
        pixels[hashlib.sha256(dataset.images[row]).digest()].append(row)
    split_of = {int(row): split for split, rows in dataset.splits.items() for row in rows}
    same = [rows for rows in pixels.values() if len(rows) > 1]
    across = [rows for rows in same if len({split_of[row] for row in rows}) > 1]
    texts = {split: {c for row in rows for c in dataset.captions[row]} for split, rows in dataset.splits.items()}
    val = [c for row in dataset.splits["val"] for c in dataset.captions[row]]
    repeated = sum(c in texts["train"] for c in val)
    lines = [
        f"  {len(across):>9,} groups of images with the same pixels at {image_size} px, in train and in val",
        *(f"            {', '.join(str(dataset.image_ids[row]) for row in rows[:4])}" for rows in across[:FEW]),
        f"  {len(same) - len(across):>9,} such groups within one split",
        f"  {repeated:>9,} of {len(val):,} val captions ({repeated / len(val):.2%}) are word for word in train, too",
    ]
    return "duplicates across splits\n" + "\n".join(lines)


def _licences(listing: Listing) -> str:
    found = Counter(entry.licence for entry in listing.entries)
    lines = [f"  {n:>9,} {name or 'none named'}" for name, n in found.most_common()]
    return "licences of the images, as the files name them\n" + "\n".join(lines)


def _refused(listing: Listing, dataset: Dataset | None, unusable: Sequence[tuple[str, str]]) -> str:
    lines = [f"  {name}: {reason}" for name, reason in unusable[:FEW]]
    lines += [f"  ... and {len(unusable) - FEW:,} more images"] if len(unusable) > FEW else []
    counts = dataset.summary if dataset else dict(listing.counts)
    shown = {
        line: n for line, n in counts.items() if n and line not in ("images listed", "images used", "captions used")
    }
    lines += [f"  {n:>9,} {line}" for line, n in shown.items()]
    return "refused or handled\n" + ("\n".join(lines) or "  nothing")
