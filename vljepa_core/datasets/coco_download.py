"""COCO 2017 with one command: its captions, a seeded sample of its images, resized as they arrive.

In this order, each step kept when it is done: the annotations zip; the sample's captions and the manifest;
each image as it arrives (``arrivals.py``); the caches, whose rows are in the order of the captions file. Nothing
depends on the order of arrival. Run again, it goes on with what is not there yet.

The sample: of the images that have a caption, those ``images`` with the lowest SHA-256 of "sample SEED ID",
ordered by id. A larger sample of the same seed contains a smaller one.

How many may be missing: at most 1 in 100 of the sample (``allow_missing``), but always 2. Then the rest is made
into a dataset, whose fingerprint is another one; with more, what has arrived is kept and there is no dataset. An
image is missing when the server doesn't have it, when it can't be decoded, or after all repetitions. Fetching
stops at once when that many are missing, or when the server can't be reached any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import shutil
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from vljepa_core.datasets import cache as caches
from vljepa_core.datasets import coco_sources, imaging
from vljepa_core.datasets.annotations import Listing, parse_annotations, read_folder
from vljepa_core.datasets.arrivals import Arrivals
from vljepa_core.datasets.coco import HANDLED, REFUSED, check_preprocessing
from vljepa_core.datasets.dataset import DataError
from vljepa_core.datasets.downloaded import CAPTIONS, Manifest, cache_key, notes_of, read_manifest, stem
from vljepa_core.datasets.fetch import Fetcher, FetchError, Patience, Wrong
from vljepa_core.datasets.workers import cpus
from vljepa_core.files import writable, write_atomically

ANNOTATIONS = coco_sources.ANNOTATIONS
MISSING = "missing.txt"
ALLOWED_SHARE, ALLOWED_FEW = 0.01, 2
SPLITS = ("train2017", "val2017")


@dataclass(frozen=True)
class Request:
    """What to fetch, and from where.

    Attributes:
        images, seed, split: the sample: so many images of COCO's ``split``.
        sizes, preprocess: a cache is made for each pair of them.
        root: a folder with the official zips, or what is in them; the server has what it lacks.
        base_url: of a mirror; see ``coco_sources.py``.
        sha256: of the annotations zip.
        connections: transfers at a time.
        allow_missing: share of the sample.
    """

    images: int
    seed: int = 42
    split: str = "train2017"
    sizes: tuple[int, ...] = (64,)
    preprocess: tuple[str, ...] = ("squash",)
    root: Path | None = None
    base_url: str = coco_sources.BASE_URL
    sha256: str | None = None
    connections: int = 16
    allow_missing: float = ALLOWED_SHARE
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if self.images < 2:
            raise DataError(f"--images {self.images}: at least 2 are needed, one of them for validation")
        if self.split not in SPLITS:
            raise DataError(f"--split {self.split}: one of {', '.join(SPLITS)}")
        if not 1 <= self.connections <= 64:
            raise DataError(f"--connections {self.connections}: from 1 to 64")
        if not 0 <= self.allow_missing < 1:
            raise DataError(f"--allow-missing {self.allow_missing}: a share from 0 to 1, such as 0.01")
        for size in self.sizes:
            for name in self.preprocess:
                check_preprocessing(size, name)
        if self.root is not None:
            coco_sources.check_root(self.root, self.split)

    def allowed(self) -> int:
        """How many images may be missing."""
        return max(ALLOWED_FEW, int(self.allow_missing * self.images))


class _Pixels:
    """One preprocessing at one size: rows in the finished cache, and rows that have arrived since."""

    def __init__(self, folder: Path, captions_sha256: str, image_size: int, preprocess: str) -> None:
        self.image_size, self.preprocess = image_size, preprocess
        self.stem = stem(folder, image_size, preprocess)
        self.key = cache_key(captions_sha256, image_size, preprocess)
        self.cache, self.place, self.notes = None, {}, {}
        try:
            self.cache = caches.open_cache(self.stem, self.key)
            self.place = {row: i for i, row in enumerate(self.cache.notes["used"])}
        except FileNotFoundError:
            pass
        except caches.CacheProblem as problem:
            _say(f"{self.stem}.npy can't be used: {problem}; fetching its images again")
        path = folder / f"arrivals-{preprocess}-{image_size}px.bin"
        self.arrivals = Arrivals(path, self.key, image_size)
        if self.arrivals.damaged:
            _say(f"{path}: {self.arrivals.damaged} damaged images in it will be fetched again")

    def has(self, row: int) -> bool:
        return row in self.place or row in self.arrivals.rows

    def finish(self, listing: Listing, unusable: dict[int, tuple[str, str]]) -> None:
        """Make the cache of what has arrived, if that is more than is in it already."""
        if self.cache is None or self.arrivals.rows:
            old = self.cache

            def build(write: caches.Write) -> dict[str, Any]:
                counts = Counter(REFUSED[kind] for kind, _ in unusable.values())
                used, notes = [], {}
                for row in range(len(listing.entries)):
                    if row in self.arrivals.rows:
                        pixels, names = self.arrivals.get(row)
                    elif row in self.place:
                        pixels, names = old.pixels[self.place[row]], old.notes["handled"].get(str(row), [])
                    else:
                        continue
                    write(pixels)
                    used.append(row)
                    if names:
                        notes[str(row)] = names
                        counts.update(HANDLED[name] for name in names)
                bad = [(listing.entries[row].file_name, f"{kind}: {why}") for row, (kind, why) in unusable.items()]
                return {**notes_of(listing, used, sorted(bad), counts), "handled": notes}

            self.cache = caches.replace(self.stem, self.key, (self.image_size, self.image_size, 3), build)
        self.arrivals.remove()


def download(folder: Path, request: Request, progress: bool = True) -> list[str]:
    """Fetch, or go on fetching, into ``folder``; a line for every image that is missing.

    Raises:
        DataError: ``folder`` holds another sample, too many images are missing, or the captions can't be had.
        OSError: the disk is full.
        KeyboardInterrupt: what has arrived is kept.
    """
    lock = FileLock(writable(folder) / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataError(f"{folder}: another process is fetching into it") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on damaged metadata
            return asyncio.run(_download(folder, request, progress))
    finally:
        lock.release()


async def _download(folder: Path, request: Request, progress: bool) -> list[str]:
    async with Fetcher(request.patience, request.connections) as fetcher:
        manifest = await _sample(folder, request, fetcher, progress)
        listing = read_folder(folder, images=folder)
        variants = [
            _Pixels(folder, manifest.captions_sha256, size, name)
            for name in request.preprocess
            for size in request.sizes
        ]
        try:
            todo = [row for row in range(len(listing.entries)) if not all(v.has(row) for v in variants)]
            _check_space(folder, variants, len(listing.entries), len(todo))
            unusable: dict[int, tuple[str, str]] = {}
            if todo:
                images = coco_sources.images(fetcher, request.base_url, request.split, request.root)
                await _fetch_images(request, images, fetcher, listing, variants, todo, unusable, progress)
            missing = _note_missing(folder, listing, unusable)
            if len(missing) > request.allowed():
                raise _too_many(folder, request, missing)
            for variant in variants:
                variant.finish(listing, unusable)
            return missing
        finally:
            for variant in variants:
                variant.arrivals.close()


async def _sample(folder: Path, request: Request, fetcher: Fetcher, progress: bool) -> Manifest:
    """The folder's manifest; if there is none yet, the captions are fetched and the sample is drawn."""
    manifest = read_manifest(folder)
    if manifest is not None:
        if (manifest.images, manifest.seed, manifest.split) != (request.images, request.seed, request.split):
            raise DataError(
                f"{folder}: holds {manifest.images:,} images of {manifest.split} with seed {manifest.seed}, asked for "
                f"are {request.images:,} of {request.split} with seed {request.seed}; give --folder, or delete it"
            )
        path = folder / CAPTIONS
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == manifest.captions_sha256:
            return manifest
        _say(f"{path}: missing or damaged; drawing the sample again")
    bar = tqdm(desc="captions", unit="B", unit_scale=True, file=sys.stderr, disable=not progress, delay=0.5)

    def arrived(size: int, total: int | None) -> None:
        bar.total = total
        bar.update(size - bar.n)

    with bar:
        data, origin = await coco_sources.captions(
            fetcher, request.base_url, request.split, request.root, folder, request.sha256, arrived
        )
    sample = draw_sample(parse_annotations(data, origin["source"]), request.images, request.seed)
    text = json.dumps(sample, ensure_ascii=False).encode()
    write_atomically(folder / CAPTIONS, text)
    manifest = Manifest(
        request.images, request.seed, request.split, hashlib.sha256(text).hexdigest(), {"file": ANNOTATIONS, **origin}
    )
    manifest.save(folder)
    (folder / ANNOTATIONS).unlink(missing_ok=True)  # 253 MB of which everything needed is in CAPTIONS now
    return manifest


def draw_sample(captions: dict[str, Any], images: int, seed: int) -> dict[str, Any]:
    """COCO captions of a sample of ``images`` images (rule: this module's docstring)."""
    described = {
        a["image_id"] for a in captions["annotations"] if isinstance(a["caption"], str) and a["caption"].strip()
    }
    ids = sorted({row["id"] for row in captions["images"]} & described, key=str)
    if images > len(ids):
        raise DataError(f"--images {images:,}: there are {len(ids):,} images with captions")
    ids.sort(key=lambda i: hashlib.sha256(f"sample {seed} {i}".encode()).digest())
    chosen = set(ids[:images])
    by_id = {"key": lambda row: (str(type(row["id"])), row["id"])}
    return {
        "info": captions.get("info"),
        "licenses": captions.get("licenses"),
        "images": sorted((row for row in captions["images"] if row["id"] in chosen), **by_id),
        "annotations": sorted((a for a in captions["annotations"] if a["image_id"] in chosen), **by_id),
    }


def _check_space(folder: Path, variants: list[_Pixels], images: int, todo: int) -> None:
    """Refuse before hours of fetching, if it can be known that the disk will be full."""
    needed = sum(v.arrivals.length * todo + v.image_size**2 * 3 * images for v in variants) if todo else 0
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: {needed / 1e6:,.0f} MB are needed (half of it only until the cache is made) and "
            f"{free / 1e6:,.0f} MB are free; free some space, or give --folder on another disk"
        )


async def _fetch_images(
    request: Request,
    images: coco_sources.Images,
    fetcher: Fetcher,
    listing: Listing,
    variants: list[_Pixels],
    todo: list[int],
    unusable: dict[int, tuple[str, str]],
    progress: bool,
) -> None:
    """Fetch the images of the rows in ``todo``; those that can't be had go to ``unusable``."""
    entries, queue = listing.entries, iter(todo)
    unreachable = 0  # in a row
    pool = ThreadPoolExecutor(cpus())
    bar = tqdm(
        total=len(entries), initial=len(entries) - len(todo), desc=f"{images.where}", unit="img", smoothing=0.05,
        file=sys.stderr, disable=not progress,
    )  # fmt: skip

    async def work() -> None:
        nonlocal unreachable
        for row in queue:
            if len(unusable) > request.allowed():
                return  # it is decided; those on their way are still let in
            wanted = [v for v in variants if not v.has(row)]

            async def check(data: bytes, wanted: list[_Pixels] = wanted) -> list:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(pool, _decode, data, wanted)

            try:
                decoded = await images.get(entries[row].file_name, check)
            except FetchError as error:
                kind = {"wrong": "unreadable"}.get(error.kind, "missing")
                unusable[row] = (kind, str(error))
                unreachable = unreachable + 1 if error.kind == "unreachable" else 0
                if unreachable >= 2 * request.connections:
                    raise DataError(
                        f"{images.where}: not reached any more, {unreachable} images in a row; the last: {error}"
                    ) from None
                continue
            unreachable = 0
            for variant, (pixels, notes) in zip(wanted, decoded, strict=True):
                variant.arrivals.add(row, pixels, notes)
            bar.update()
            if fetcher.repeated or unusable:
                bar.set_postfix(repeated=fetcher.repeated, missing=len(unusable), refresh=False)

    with bar, pool:
        tasks = [asyncio.create_task(work()) for _ in range(request.connections)]
        try:
            for task in asyncio.as_completed(tasks):
                await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _decode(data: bytes, wanted: list[_Pixels]) -> list[tuple[np.ndarray, list[str]]]:
    try:
        return [imaging.decode(io.BytesIO(data), v.image_size, v.preprocess) for v in wanted]
    except imaging.BadImage as bad:
        start = data[:16].lstrip().lower()
        page = " (it is a web page: a log-in page, a proxy?)" if start.startswith((b"<!doctype", b"<html")) else ""
        raise Wrong(f"not an image that can be decoded: {bad}{page}") from None


def _too_many(folder: Path, request: Request, missing: list[str]) -> DataError:
    few = "".join(f"\n  {line}" for line in missing[:5]) + (f"\n  ... all in {folder / MISSING}" if missing[5:] else "")
    return DataError(
        f"{folder}: {len(missing):,} images are missing, more than {request.allowed():,} of {request.images:,} may be "
        f"(--allow-missing). What has arrived is kept, and the same command goes on from there. Missing:{few}"
    )


def _note_missing(folder: Path, listing: Listing, unusable: dict[int, tuple[str, str]]) -> list[str]:
    """A line for each missing image, also written to a file of the folder."""
    lines = [f"{listing.entries[row].file_name}: {unusable[row][1]}" for row in sorted(unusable)]
    if lines:
        write_atomically(folder / MISSING, "".join(f"{line}\n" for line in lines).encode())
    else:
        (folder / MISSING).unlink(missing_ok=True)
    return lines


def _say(message: str) -> None:
    tqdm.write(message, file=sys.stderr)
