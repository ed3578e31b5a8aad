"""Any folder of images with COCO captions is a dataset (layout and caption rules: ``annotations.py``).

Images are decoded once, in parallel, into a checked uint8 cache; afterwards opening is quick and nothing
is copied into memory. An image that can't be used is dropped and counted; if that happens to more than
``max(10, 10 %)`` of the images, loading stops and says which.
"""

from __future__ import annotations

import hashlib
import io
import math
import mmap
import os
import re
import stat
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vljepa_core.datasets import imaging
from vljepa_core.datasets.annotations import Entry, Listing, drawn_by_name, read_folder
from vljepa_core.datasets.cache import Cache, Write, open_or_build
from vljepa_core.datasets.dataset import DataError, Dataset, fingerprint
from vljepa_core.datasets.workers import cpus, in_order

MAX_UNUSABLE_SHARE, MAX_UNUSABLE_FEW = 0.10, 10
MAX_CAPTION_BYTES = 126  # of 128 ids one is BOS and one EOS; the tokenizer cuts longer captions
BLOCK, BLOCK_BYTES = 64, 2**22  # a worker decodes so many images at a time, or fewer if they are large
WAITING = 4  # blocks for each worker that may wait to be written: bounds the memory
READ_AT_ONCE = 2**24  # bytes of a file; reading it in pieces, threads would wait for each other at every piece
FEW = 100  # below this, starting workers costs more than they save

HANDLED = {  # imaging.decode's note -> its line in the summary
    "grey": "grey images converted",
    "palette": "palette images converted",
    "transparent": "transparent images put on white",
    "cmyk": "CMYK images converted",
    "16-bit": "16-bit images reduced to 8",
    "rotated": "EXIF-rotated images turned",
}
REFUSED = {
    "missing": "images missing",
    "unreadable": "images unreadable",
    "too large": "images too large",
}
SUMMARY = (
    "images listed",
    "images used",
    *REFUSED.values(),
    "images without captions",
    "images with an ambiguous id",
    "duplicate image ids",
    "images listed under two ids, merged",
    "train images that are also in val, dropped",
    *HANDLED.values(),
    "captions used",
    "empty captions, dropped",
    "captions that are not text, dropped",
    f"captions over {MAX_CAPTION_BYTES} bytes, cut by the tokenizer",
    "captions not in ASCII, kept",
    "duplicate annotation ids",
    "annotations of unknown images",
)


def load_coco_folder(
    folder: Path | str,
    image_size: int,
    *,
    preprocess: str = "squash",
    val_fraction: float = 0.1,
    split_seed: int = 42,
    cache_dir: Path | str,
    workers: int | None = None,
    progress: bool = True,
) -> Dataset:
    """Load a COCO-captions folder as images uint8 ``(N, image_size, image_size, 3)`` with captions.

    Args:
        folder: see ``annotations.py`` for its layout.
        image_size: side in pixels.
        preprocess: "squash" (as published) or "crop"; see ``imaging.py``.
        val_fraction, split_seed: used only where the files give no splits. Images are ordered by the
            SHA-256 of "seed:file name"; the first ``round(val_fraction * N)``, at least one, are "val".
        cache_dir: where the cache is kept; one cache for each folder, size and preprocessing.
        workers: decoding processes (threads, where there is no fork); by default one for each CPU.
        progress: show a bar and the summary on stderr while building.

    Raises:
        DataError: wrong arguments or layout, a ``file_name`` outside the folder, too many unusable images.
    """
    folder = Path(folder).resolve()
    if not 0 < val_fraction < 1:
        raise DataError(f"val_fraction must lie between 0 and 1, got {val_fraction!r}")
    listing = read_folder(folder)
    cache, built = open_pixels(folder, listing, image_size, preprocess, cache_dir, workers, progress)
    dataset = assemble(folder, listing, cache, preprocess, val_fraction, split_seed)
    if built and progress:
        _print_summary(dataset, listing, cache)
    return dataset


def open_pixels(
    folder: Path,
    listing: Listing,
    image_size: int,
    preprocess: str,
    cache_dir: Path | str,
    workers: int | None = None,
    progress: bool = False,
) -> tuple[Cache, bool]:
    """The cache with a folder's usable images, and whether it had to be built."""
    check_preprocessing(image_size, preprocess)
    if workers is not None and workers < 1:
        raise DataError(f"workers must be at least 1, got {workers!r}")
    key = {
        "folder": str(folder),
        "preprocessing": f"{preprocess}/{imaging.PREPROCESSING_VERSION}",
        "image size": image_size,
        "sources": [_source(entry) for entry in listing.entries],
    }
    built = False

    def build(write: Write) -> dict[str, Any]:
        nonlocal built
        built = True
        return _decode_all(folder, listing, image_size, preprocess, workers, progress, write)

    owner = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    name = re.sub(r"[^\w.-]", "_", folder.name) or "root"
    stem = Path(cache_dir) / f"{name}-{preprocess}-{image_size}px-{owner}"
    return open_or_build(stem, key, (image_size, image_size, 3), build), built


def check_preprocessing(image_size: int, preprocess: str) -> None:
    """Raises DataError for a preprocessing or a size that there isn't."""
    if preprocess not in imaging.PREPROCESSING:
        raise DataError(f"unknown preprocess {preprocess!r}; known: {', '.join(imaging.PREPROCESSING)}")
    if not isinstance(image_size, int) or not 1 <= image_size <= 4096:
        raise DataError(f"image_size must be a whole number from 1 to 4096, got {image_size!r}")


def _source(entry: Entry) -> list[Any]:
    """What identifies an image file: id, name, size in bytes and time of change (None if it is missing)."""
    try:
        status = os.stat(entry.path)
    except OSError:
        return [entry.image_id, entry.file_name, None, None]
    return [entry.image_id, entry.file_name, status.st_size, status.st_mtime_ns]


def _decode_all(
    folder: Path,
    listing: Listing,
    image_size: int,
    preprocess: str,
    workers: int | None,
    progress: bool,
    write: Write,
) -> dict[str, Any]:
    """Decode every image in order; returns the notes kept in the cache.

    Pixels are left by the workers in memory that they share with this process: only notes are sent.
    """
    entries, used, unusable, counts = listing.entries, [], [], Counter()
    row_shape = (image_size, image_size, 3)
    block = min(BLOCK, max(1, BLOCK_BYTES // math.prod(row_shape)))
    starts = range(0, len(entries), block)
    if workers is None:
        workers = cpus() if len(entries) >= FEW else 1
    ahead = WAITING * workers
    shared = np.frombuffer(mmap.mmap(-1, ahead * block * math.prod(row_shape)), np.uint8)
    slots = shared.reshape(ahead, block, *row_shape)

    def decode_block(k: int) -> list[list[str] | tuple[str, str]]:
        """Notes of an image, or kind and reason of a bad one."""
        found = []
        for i, entry in enumerate(entries[starts[k] : starts[k] + block]):
            try:
                slots[k % ahead, i], notes = _decode(entry, image_size, preprocess)
                found.append(notes)
            except imaging.BadImage as bad:
                found.append((bad.kind, str(bad)))
        return found

    _stop_if_too_many(folder, listing, unusable)
    bar = tqdm(total=len(entries), desc=f"decoding {folder.name}", unit="img", file=sys.stderr, disable=not progress)
    with warnings.catch_warnings(), bar:
        warnings.simplefilter("ignore")  # Pillow's remarks on damaged metadata; set before workers start
        for k, found in enumerate(in_order(decode_block, range(len(starts)), workers, ahead)):
            good = []
            for i, notes in enumerate(found):
                if isinstance(notes, tuple):
                    kind, reason = notes
                    counts[REFUSED[kind]] += 1
                    unusable.append((entries[starts[k] + i].file_name, f"{kind}: {reason}"))
                else:
                    good.append(i)
                    counts.update(HANDLED[note] for note in notes)
            pixels = slots[k % ahead, : len(found)]
            write(pixels if len(good) == len(found) else pixels[good])
            used += [starts[k] + i for i in good]
            bar.update(len(found))
            _stop_if_too_many(folder, listing, unusable)
    if not used:
        listed = _first_few(listing.unusable + unusable)
        raise DataError(f"{folder}: no usable image is left of {listing.counts['images listed']:,}{listed}")
    return {
        "used": used,
        "unusable": unusable,
        "counts": dict(counts),
        "licences": [entries[row].licence for row in used],
    }


def _decode(entry: Entry, image_size: int, preprocess: str) -> tuple[np.ndarray, list[str]]:
    """As ``imaging.decode``; BadImage also for a file that isn't there, or isn't one."""
    try:
        status = os.stat(entry.path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
            raise imaging.BadImage("unreadable", "not a regular file")
        if status.st_size > READ_AT_ONCE:
            return imaging.decode(Path(entry.path), image_size, preprocess)
        with open(entry.path, "rb", buffering=0) as file:
            return imaging.decode(io.BytesIO(file.read()), image_size, preprocess)
    except FileNotFoundError:
        raise imaging.BadImage("missing", "no such file") from None
    except OSError as error:
        raise imaging.BadImage("unreadable", str(error.strerror)) from None


def _stop_if_too_many(folder: Path, listing: Listing, unusable: list[tuple[str, str]]) -> None:
    bad, total = listing.unusable + unusable, listing.counts["images listed"]
    if len(bad) > max(MAX_UNUSABLE_FEW, MAX_UNUSABLE_SHARE * total):
        raise DataError(
            f"{folder}: at least {len(bad):,} of {total:,} images can't be used, more than "
            f"{MAX_UNUSABLE_SHARE:.0%}; repair them or take them out of the captions file{_first_few(bad)}"
        )


def _first_few(bad: list[tuple[str, str]], few: int = 5) -> str:
    lines = [f"\n  {name}: {reason}" for name, reason in bad[:few]]
    return "".join(lines) + (f"\n  and {len(bad) - few:,} more" if len(bad) > few else "")


def assemble(
    folder: Path, listing: Listing, cache: Cache, preprocess: str, val_fraction: float = 0.1, split_seed: int = 42
) -> Dataset:
    """The dataset of a folder's captions and of a cache whose notes say which of its images are used."""
    entries = [listing.entries[row] for row in cache.notes["used"]]
    captions = [entry.captions for entry in entries]
    ids = [entry.image_id for entry in entries]
    splits = _splits(folder, entries, val_fraction, split_seed)
    counts = listing.counts + Counter(cache.notes["counts"])
    texts = [text for texts in captions for text in texts]
    counts["images used"], counts["captions used"] = len(entries), len(texts)
    counts[f"captions over {MAX_CAPTION_BYTES} bytes, cut by the tokenizer"] = sum(
        len(text.encode("utf-8")) > MAX_CAPTION_BYTES for text in texts
    )
    counts["captions not in ASCII, kept"] = sum(not text.isascii() for text in texts)
    return Dataset(
        # A name of generated data would pass for them.
        name=re.sub(r"^(?=(shapes|scenes)\b)", "folder-", folder.name),
        images=cache.pixels,
        captions=captions,
        image_ids=ids,
        splits=splits,
        fingerprint=fingerprint(f"{preprocess} {cache.pixels.shape[1]} {cache.pixels_sha256}", captions, ids, splits),
        source=_describe_source(folder, listing, Counter(entry.licence for entry in entries)),
        summary={line: counts[line] for line in SUMMARY},
    )


def _splits(folder: Path, entries: list[Entry], val_fraction: float, split_seed: int) -> dict[str, np.ndarray]:
    if any(entry.split for entry in entries):
        val = np.array([entry.split == "val" for entry in entries])
    else:
        first = drawn_by_name(entries, split_seed)[: max(1, round(val_fraction * len(entries)))]
        chosen = {entry.path for entry in first}
        val = np.array([entry.path in chosen for entry in entries])
    if val.all() or not val.any():
        raise DataError(
            f"{folder}: {len(val)} usable image(s), {val.sum()} of them in val; both splits need at least one"
        )
    return {"train": np.flatnonzero(~val).astype(np.int64), "val": np.flatnonzero(val).astype(np.int64)}


def _describe_source(folder: Path, listing: Listing, licences: Counter) -> str:
    about = "; ".join(listing.descriptions) or "COCO-captions folder without a description"
    text = f"{about}. Read from {folder.name}/{', '.join(listing.files)}."
    named = [f"{licence} ({n:,})" for licence, n in licences.most_common() if licence is not None]
    if not named:
        return f"{text} The files name no licence for the images."
    if licences[None]:
        named.append(f"none named ({licences[None]:,})")
    return f"{text} Licences of the images as the files name them: {', '.join(named)}."


def _print_summary(dataset: Dataset, listing: Listing, cache: Cache) -> None:
    """To stderr, once, when the cache was built: what was used, handled and dropped."""
    parts = ", ".join(f"{len(rows):,} {split}" for split, rows in dataset.splits.items())
    lines = [f"{dataset.name}: {len(dataset.images):,} images ({parts}), captions from {', '.join(listing.files)}"]
    lines += [f"  {n:,} {line}" for line, n in dataset.summary.items() if n]
    if listing.files_not_read:
        lines.append(f"  not read, being neither train nor val: {', '.join(listing.files_not_read)}")
    bad = listing.unusable + [tuple(pair) for pair in cache.notes["unusable"]]
    if bad:
        lines.append(f"  dropped:{_first_few(bad).replace(chr(10), chr(10) + '  ')}")
    tqdm.write("\n".join(lines), file=sys.stderr)
