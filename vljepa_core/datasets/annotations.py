"""The captions of a COCO-captions folder: which image has which captions, in which split.

Layout: ``captions*.json`` in the folder or in its ``annotations/``; images in ``images/``, or beside the
file's own name as COCO has it (``captions_train2017.json`` -> ``train2017/`` or ``images/train2017/``).
Each file is in COCO captions format: ``images`` (id, file_name), ``annotations`` (id, image_id, caption).

Rules, each with a count in ``Listing.counts``:
- Splits are the files', where there is one whose name goes on with "train" and one with "val" (files of
  other names are then not read). Else all files are pooled and ``split`` is None.
- A file listed in train and in val stays in val and is dropped from train.
- A file listed more than once in a split is one image with all its captions.
- An id that names two different files is ambiguous: none of those images is used.
- Captions are stripped of white space around them; empty ones are dropped.
- Of annotations that repeat an annotation id, those that repeat image and text too are dropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from vljepa_core.datasets.dataset import DataError

LAYOUT = (
    "expected FOLDER/images/ and FOLDER/captions_train.json, captions_val.json (or one captions_*.json); "
    "COCO's own annotations/captions_train2017.json with train2017/ works too"
)


@dataclass(frozen=True)
class Entry:
    """One image with its captions. ``split`` is "train", "val" or None; ``licence`` a name or None."""

    image_id: int | str
    file_name: str
    path: str
    captions: list[str]
    split: str | None
    licence: str | None


@dataclass
class Listing:
    """All of a folder's usable entries, train first; ``unusable`` are pairs of file name and reason."""

    entries: list[Entry] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    files_not_read: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Record:
    """One row of one file's ``images``, with the index of the file that it is in."""

    coco: COCO
    split: str | None
    image_id: int | str
    file_name: str
    path: str
    licence: str | None
    place: str


def read_folder(folder: Path, images: Path | None = None) -> Listing:
    """Read every captions file of a folder.

    Args:
        images: where its images would lie, if they do not have to be there.

    Raises:
        DataError: no such folder, no captions file, a file that is not COCO captions, or a ``file_name``
            that leads out of the folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {LAYOUT}")
    chosen, not_read = _captions_files(folder)
    listing = Listing(files=[f.name for f, _ in chosen], files_not_read=not_read)
    records: list[_Record] = []
    for file, split in chosen:
        records += _read_file(file, split, images or _image_folder(folder, file), listing)
    listing.counts["images listed"] = len(records)
    _merge(records, listing)
    return listing


def _captions_files(folder: Path) -> tuple[list[tuple[Path, str | None]], list[str]]:
    found = sorted(folder.glob("captions*.json")) or sorted((folder / "annotations").glob("captions*.json"))
    if not found:
        raise DataError(f"{folder}: no captions*.json here or in annotations/; {LAYOUT}")
    named = [(f, s) for f in found for s in ("train", "val") if _suffix(f).startswith(s)]
    if {split for _, split in named} == {"train", "val"}:
        read = {f for f, _ in named}
        return sorted(named, key=lambda pair: (pair[1], pair[0])), [f.name for f in found if f not in read]
    return [(f, None) for f in found], []


def _suffix(file: Path) -> str:
    """ "train2017" of captions_train2017.json."""
    return file.stem[len("captions") :].lstrip("_-.")


def _image_folder(folder: Path, file: Path) -> Path:
    own = _suffix(file)
    places = [folder / "images" / own, folder / own] if own else []
    places.append(folder / "images")
    for place in places:
        if place.is_dir():
            return place
    raise DataError(f"{file}: no folder with its images; looked for {', '.join(map(str, places))}; {LAYOUT}")


def _read_file(file: Path, split: str | None, image_folder: Path, listing: Listing) -> list[_Record]:
    data = read_annotations(file)
    coco = COCO()
    coco.dataset = data
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress with print()
        coco.createIndex()
    listing.counts["annotations of unknown images"] += sum(
        len(annotations) for image_id, annotations in coco.imgToAnns.items() if image_id not in coco.imgs
    )
    info = data.get("info")
    if isinstance(info, dict) and info.get("description"):
        about = " ".join(str(info[k]) for k in ("description", "url") if info.get(k))[:300]
        if about not in listing.descriptions:
            listing.descriptions.append(about)
    licences = {
        row["id"]: str(row.get("name") or row.get("url") or row["id"])
        for row in data.get("licenses") or []
        if isinstance(row, dict) and isinstance(row.get("id"), (int, str))
    }
    inside = _Inside(image_folder, file)
    records = []
    for row in data["images"]:
        path = inside(row["file_name"])
        licence = row.get("license")
        licence = licences.get(licence, str(licence)) if isinstance(licence, (int, str)) else None
        records.append(_Record(coco, split, row["id"], row["file_name"], path, licence, file.name))
    return records


def read_json(file: Path, expected: str) -> Any:
    """A file's JSON; DataError, with what was expected, if it can't be read or is not JSON."""
    return _json(_read_bytes(file), str(file), expected)


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror})") from None


def _json(data: bytes, name: str, expected: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        raise DataError(f"{name}: not JSON ({error}); expected {expected}") from None


def read_annotations(file: Path, file_names: bool = True) -> dict[str, Any]:
    """The JSON of a COCO captions file, its shape checked; ``file_names``: its images must name their files.

    Raises:
        DataError: not readable, not JSON, or not COCO captions.
    """
    return parse_annotations(_read_bytes(file), str(file), file_names)


def parse_annotations(data: bytes, name: str, file_names: bool = True) -> dict[str, Any]:
    """The same of a file's bytes; ``name`` is for the errors."""
    expected = 'COCO captions: {"images": [{"id", "file_name"}], "annotations": [{"id", "image_id", "caption"}]}'

    def wrong(what: str) -> DataError:
        return DataError(f"{name}: {what}; expected {expected}")

    data = _json(data, name, expected)
    if not isinstance(data, dict):
        raise wrong(f"a JSON {type(data).__name__}, not an object")
    keys = {"images": ("id", "file_name") if file_names else ("id",), "annotations": ("id", "image_id", "caption")}
    for table, columns in keys.items():
        if not isinstance(data.get(table), list):
            raise wrong(f'no list "{table}"')
        for i, row in enumerate(data[table]):
            if not isinstance(row, dict):
                raise wrong(f"{table}[{i}] is not an object")
            for column in columns:
                if column not in row:
                    raise wrong(f'{table}[{i}] has no "{column}"')
                if column.endswith("id") and type(row[column]) not in (int, str):
                    raise wrong(f'{table}[{i}] has "{column}" {row[column]!r}, not a whole number or text')
            if "file_name" in columns and not isinstance(row["file_name"], str):
                raise wrong(f"images[{i}] has file_name {row['file_name']!r}, not text")
    return data


class _Inside:
    """The real path of each image, links followed, checked to lie inside the folder of images.

    Plain strings, and one look-up for each parent folder: this is asked for every image at every load.
    """

    def __init__(self, image_folder: Path, file: Path) -> None:
        self.image_folder, self.file = image_folder, file
        self.root = os.path.join(os.path.realpath(image_folder), "")
        self.parents: dict[str, str] = {}

    def __call__(self, file_name: str) -> str:
        """Raises DataError if ``file_name`` leads out; the file itself may be missing."""
        parent, name = os.path.split(file_name)
        parts = file_name.replace("\\", "/").split("/")  # Windows' separators too, on any system
        where = f"{self.file}: file_name {file_name!r}"
        if name in ("", ".") or "\0" in file_name or not is_unicode(file_name):
            raise DataError(f"{where} names no file")
        if ".." in parts or parts[0] == "" or re.match("[A-Za-z]:", file_name):
            raise DataError(f"{where} leaves {self.image_folder}; names are relative to it and stay inside")
        if parent not in self.parents:
            self.parents[parent] = os.path.realpath(self.image_folder / parent)
        real = os.path.join(self.parents[parent], name)
        if os.path.islink(real):
            real = os.path.realpath(real)
        if not real.startswith(self.root):
            raise DataError(f"{where} is a link that leaves {self.image_folder} (to {real})")
        return real


def _merge(records: list[_Record], listing: Listing) -> None:
    """Apply the rules of this module's docstring to the rows of all files."""
    counts = listing.counts
    paths_of_id: dict[int | str, set[str]] = defaultdict(set)
    for r in records:
        paths_of_id[r.image_id].add(r.path)
    in_val = {r.path for r in records if r.split == "val"}
    captions_of = _Captions(counts)
    first: dict[str, Entry] = {}
    for r in records:
        if len(paths_of_id[r.image_id]) > 1:
            counts["images with an ambiguous id"] += 1
            others = sorted(os.path.basename(p) for p in paths_of_id[r.image_id] if p != r.path)
            listing.unusable.append((r.file_name, f"id {r.image_id!r} in {r.place} also names {', '.join(others[:3])}"))
        elif r.split == "train" and r.path in in_val:
            counts["train images that are also in val, dropped"] += 1
        elif r.path in first:
            same = first[r.path].image_id == r.image_id
            counts["duplicate image ids" if same else "images listed under two ids, merged"] += 1
            first[r.path].captions.extend(captions_of(r))
        else:
            first[r.path] = Entry(r.image_id, r.file_name, r.path, captions_of(r), r.split, r.licence)
    for entry in first.values():
        if entry.captions:
            listing.entries.append(entry)
        else:
            counts["images without captions"] += 1
            listing.unusable.append((entry.file_name, f"no caption (image_id {entry.image_id!r})"))


class _Captions:
    """The usable captions of a record, counting the others; a file's captions of an id are given out once."""

    def __init__(self, counts: Counter) -> None:
        self.counts = counts
        self.given: set[tuple[int, int | str]] = set()
        self.texts_of_annotation: dict[tuple[int, int | str], set[tuple[int | str, str]]] = defaultdict(set)

    def __call__(self, record: _Record) -> list[str]:
        file = id(record.coco)
        if (file, record.image_id) in self.given:
            return []
        self.given.add((file, record.image_id))
        usable = []
        for annotation in record.coco.imgToAnns.get(record.image_id, []):
            text = annotation["caption"]
            if text is None or (isinstance(text, str) and not text.strip()):
                self.counts["empty captions, dropped"] += 1
                continue
            if not isinstance(text, str) or not is_unicode(text):
                self.counts["captions that are not text, dropped"] += 1
                continue
            if len(record.coco.anns) < len(record.coco.dataset["annotations"]):  # some ids are repeated
                seen = self.texts_of_annotation[file, annotation["id"]]
                self.counts["duplicate annotation ids"] += bool(seen)
                if (record.image_id, text) in seen:
                    continue
                seen.add((record.image_id, text))
            usable.append(text.strip())
        return usable


def drawn_by_name(entries: Sequence[Entry], seed: int) -> list[Entry]:
    """Entries in an order that a seed and their file names alone decide: by the SHA-256 of "seed:name"."""
    return sorted(entries, key=lambda entry: hashlib.sha256(f"{seed}:{entry.file_name}".encode()).digest())


def is_unicode(text: str) -> bool:
    """False for half of a surrogate pair, which JSON can hold and UTF-8 can't."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
