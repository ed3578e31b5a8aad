"""A folder that ``data coco`` made: captions and pixels, and no image files. How it is laid out and opened.

    download.json               what was asked for, and the SHA-256 of the captions file
    captions_sample.json        COCO captions format, with the licence and origin of every image of the sample
    pixels-squash-64px.npy      uint8 (N, 64, 64, 3), one such pair for each preprocessing and size
    pixels-squash-64px.json     ids, captions, licences, source, format version, checksums: opening reads these two
    arrivals-squash-64px.bin    while a fetch is under way

The pixels, captions, ids and splits are those of a folder with the original files and the same captions file,
so the fingerprint is the same, too.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vljepa_core.datasets import imaging
from vljepa_core.datasets.annotations import Entry, Listing
from vljepa_core.datasets.cache import CacheProblem, open_cache
from vljepa_core.datasets.coco import assemble, check_preprocessing
from vljepa_core.datasets.dataset import DataError, Dataset
from vljepa_core.files import write_atomically

FORMAT = 1
MANIFEST = "download.json"
CAPTIONS = "captions_sample.json"
# Not the folder: it may be somebody's own, and a file of this name in it another program's.
_ADVICE = "move this file away; if `data coco` made the folder, run it again"


@dataclass(frozen=True)
class Manifest:
    """What a folder holds: ``images`` of COCO's ``split``, chosen with ``seed``.

    ``annotations`` says where the captions came from: address or path, SHA-256, and what that was checked with.
    """

    images: int
    seed: int
    split: str
    captions_sha256: str
    annotations: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write it; from then on the folder is known to hold this sample."""
        data = {"format": FORMAT, **asdict(self)}
        write_atomically(folder / MANIFEST, (json.dumps(data, indent=1) + "\n").encode())

    def command(self, folder: Path, sizes: Sequence[int] = (), preprocess: Sequence[str] = ()) -> str:
        """The command that makes, or goes on making, this folder."""
        text = f"python -m vljepa_core data coco --images {self.images} --seed {self.seed} --folder {folder}"
        if self.split != "train2017":
            text += f" --split {self.split}"
        if sizes:
            text += f" --sizes {' '.join(map(str, sizes))}"
        return text + (f" --preprocess {' '.join(preprocess)}" if preprocess else "")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder that ``data coco`` made; None for any other folder.

    Raises:
        DataError: it is damaged, or of another format.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        found = data.pop("format")
        if found == FORMAT:
            return Manifest(**data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error!r}), or not of `data coco`; {_ADVICE}") from None
    raise DataError(f"{path}: format {found!r}, this code reads {FORMAT}; {_ADVICE}")


def stem(folder: Path, image_size: int, preprocess: str) -> Path:
    """Path of a cache of this folder, without suffix."""
    return folder / f"pixels-{preprocess}-{image_size}px"


def cache_key(captions_sha256: str, image_size: int, preprocess: str) -> dict[str, Any]:
    """What the pixels of a cache of such a folder belong to."""
    return {
        "captions": captions_sha256,
        "preprocessing": f"{preprocess}/{imaging.PREPROCESSING_VERSION}",
        "image size": image_size,
    }


def notes_of(listing: Listing, used: list[int], unusable: list[tuple[str, str]], counts: Counter) -> dict[str, Any]:
    """What is kept beside the pixels: all that ``load_downloaded`` needs besides them, and every licence."""
    entries = [listing.entries[row] for row in used]
    licences = sorted({entry.licence for entry in entries if entry.licence is not None})
    return {
        "used": used,
        "images": [
            [e.image_id, e.file_name, None if e.licence is None else licences.index(e.licence), e.captions]
            for e in entries
        ],
        "licences": licences,
        "unusable": listing.unusable + unusable,
        "counts": dict(listing.counts + counts),
        "descriptions": listing.descriptions,
        "files": listing.files,
    }


def load_downloaded(folder: Path, image_size: int, preprocess: str) -> Dataset:
    """Open a folder that ``data coco`` made: nothing is decoded, pixels are mapped.

    Raises:
        DataError: there are no pixels of this size and preprocessing, they are damaged, or belong to other
            captions; the message has the command that makes them.
    """
    check_preprocessing(image_size, preprocess)
    manifest = read_manifest(folder)
    if manifest is None:
        raise DataError(f"{folder}: no {MANIFEST}; it was not made by `data coco`")
    command = manifest.command(folder, [image_size], [preprocess])
    where = stem(folder, image_size, preprocess)
    try:
        captions = hashlib.sha256((folder / CAPTIONS).read_bytes()).hexdigest()
        if captions != manifest.captions_sha256:
            raise CacheProblem(f"{CAPTIONS} has changed since it was written")
        cache = open_cache(where, cache_key(captions, image_size, preprocess))
    except FileNotFoundError as error:
        there = ", ".join(sorted(p.stem.removeprefix("pixels-") for p in folder.glob("pixels-*.npy"))) or "none"
        missing = Path(error.filename or where).name if error.filename else f"{where.name}.npy"
        raise DataError(
            f"{folder}: {missing} is not there (complete: {there}). To get it, or to go on:\n  {command}"
        ) from None
    except (CacheProblem, OSError) as problem:
        raise DataError(
            f"{folder}: {where.name} can't be used: {problem}. To make it again, delete what is damaged and run:\n"
            f"  {command}"
        ) from None
    notes = cache.notes
    listing = Listing(
        entries=[
            Entry(i, name, name, captions, None, None if licence is None else notes["licences"][licence])
            for i, name, licence, captions in notes["images"]
        ],
        files=notes["files"],
        descriptions=notes["descriptions"],
        counts=Counter(notes["counts"]),
        unusable=[tuple(pair) for pair in notes["unusable"]],
    )
    cache.notes["used"], cache.notes["counts"] = range(len(listing.entries)), {}
    return assemble(folder, listing, cache, preprocess)
