"""What a frozen network says about every image of a dataset: asked once, kept on disk.

``NAME.npy`` is float16 (N, P, C); ``NAME.json`` says whose features they are and lists the SHA-256 of every chunk of
images. While they are computed the file is called ``NAME.npy.partial`` and the list grows: after a kill the work goes
on behind the last chunk that is listed. Every opening compares all chunks with the list; a damaged one is named in a
message on stderr and computed again.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from vljepa_core.datasets.cache import locked
from vljepa_core.datasets.dataset import Dataset
from vljepa_core.files import write_atomically
from vljepa_core.model.networks import Network, calibrate, load_network
from vljepa_core.provenance import source_hash
from vljepa_core.recipes import Recipe

FORMAT = 1  # raised whenever this file changes what is stored; model/networks.py counts by its source hash
CHUNK = 256  # images between two entries of the list
CALIBRATED_ON = 512  # training images that the batch-norm statistics of a random network are estimated on
BATCH = 32  # images at a time; a divisor of CHUNK, so that a resumed run meets the same batches


def frozen_network(recipe: Recipe, dataset: Dataset) -> Network:
    """The recipe's frozen network, its statistics estimated on training images where its weights are random."""
    network = load_network(recipe.visual, recipe.visual_weights).requires_grad_(False)
    return calibrate(network, dataset.images[dataset.splits["train"][:CALIBRATED_ON]])


def cached_features(
    network: Network, images: np.ndarray, folder: Path, images_key: str, progress: bool = False
) -> np.ndarray:
    """Features of all images, float16 (N, P, C): a read-only memory map.

    One process computes; another that wants the same waits for it.

    Args:
        network: runs where it is (CPU or GPU) and without gradients; the features are those of its weights now.
        images: uint8 (N, S, S, 3).
        folder: where the files go; their names begin with the network's.
        images_key: what tells these images from others, such as their dataset's fingerprint.
        progress: a bar with rate and remaining time on stderr.

    Raises:
        ValueError: a feature is not finite in float16, as with a random network that was not calibrated.
        OSError: the disk is full, or can't be written.
    """
    side = images.shape[1]
    shape = (len(images), network.tokens(side), network.channels)
    key = {
        "format": FORMAT,
        "network": network.name,
        "weights": network.weights,
        "network_fingerprint": network.fingerprint,
        "images": images_key,
        "image_size": side,
        "shape": list(shape),
        "device": network.pixel_mean.device.type,  # another kind of device differs in the last bits
        "code": source_hash("model/networks.py"),
    }
    short = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    network_name = "".join(c if c.isalnum() or c in "._-" else "-" for c in network.name)
    store = _Store(folder / f"{network_name}-{network.weights}-{side}px-{short}", key, shape)
    if not store.complete():
        with locked(store.stem):
            if not store.complete():
                _compute(store, network, images, progress)
    return np.load(store.file, mmap_mode="r", allow_pickle=False)


class _Store:
    """The files of one array of features, and which of their chunks are as listed."""

    def __init__(self, stem: Path, key: dict[str, Any], shape: tuple[int, ...]) -> None:
        self.stem, self.key, self.shape = stem, key, shape
        self.file = stem.with_name(stem.name + ".npy")
        self.partial = stem.with_name(stem.name + ".npy.partial")
        self.list_file = stem.with_name(stem.name + ".json")
        self.chunks = [slice(start, min(start + CHUNK, shape[0])) for start in range(0, shape[0], CHUNK)]
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": shape})
        self.header = header.getvalue()
        self.row_bytes = 2 * math.prod(shape[1:])

    def offset(self, chunk: slice) -> int:
        """Where a chunk begins in the file."""
        return len(self.header) + chunk.start * self.row_bytes

    def listed(self) -> list[str | None]:
        """SHA-256 of each chunk as it was computed, None where it was not; all None without a readable list."""
        try:
            found = json.loads(self.list_file.read_text(encoding="utf-8"))
            if found["key"] == self.key and len(found["chunks"]) == len(self.chunks):
                return found["chunks"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return [None] * len(self.chunks)

    def on_disk(self, file: Path) -> list[str | None]:
        """SHA-256 of each chunk as it is in ``file``, None where it isn't; all None without the right header."""
        try:
            with open(file, "rb") as f:
                if f.read(len(self.header)) != self.header:
                    return [None] * len(self.chunks)
                parts = (f.read((c.stop - c.start) * self.row_bytes) for c in self.chunks)
                return [_sha256(part) if part else None for part in parts]
        except FileNotFoundError:
            return [None] * len(self.chunks)

    def complete(self) -> bool:
        """Whether every chunk is there and undamaged."""
        listed = self.listed()
        return None not in listed and self.file.exists() and self.on_disk(self.file) == listed


def _compute(store: _Store, network: Network, images: np.ndarray, progress: bool) -> None:
    """Compute what is missing or damaged, then give the file its name. The lock is held."""
    if store.file.exists():  # though not complete: damaged
        os.replace(store.file, store.partial)
    listed, found = store.listed(), store.on_disk(store.partial)
    missing = [i for i in range(len(listed)) if listed[i] is None or listed[i] != found[i]]
    _say_what_is_wrong(store, [store.chunks[i] for i in missing if listed[i] is not None], len(missing))
    n_missing = sum(store.chunks[i].stop - store.chunks[i].start for i in missing)
    bar = tqdm(
        total=len(images),
        initial=len(images) - n_missing,
        desc=f"features of {network.name}",
        unit="img",
        file=sys.stderr,
        disable=not progress,
    )
    try:
        with open(store.partial, "r+b" if store.partial.exists() else "w+b") as out, bar:
            out.write(store.header)
            for i in missing:
                chunk = store.chunks[i]
                values = _apply(network, images[chunk], bar)
                out.seek(store.offset(chunk))
                out.write(values)
                out.flush()
                os.fsync(out.fileno())  # before it is listed
                listed[i] = _sha256(values)
                write_atomically(store.list_file, json.dumps({"key": store.key, "chunks": listed}).encode())
            out.truncate(len(store.header) + store.shape[0] * store.row_bytes)
    except OSError as error:
        if error.filename is None:  # from write(), which doesn't say what it could not write
            raise OSError(
                f"{store.partial}: can't be written ({error.strerror}); free some space, run again"
            ) from error
        raise
    os.replace(store.partial, store.file)


def _say_what_is_wrong(store: _Store, damaged: list[slice], n_missing: int) -> None:
    if damaged:
        first = ", ".join(f"{c.start} to {c.stop - 1}" for c in damaged[:3]) + (", ..." if len(damaged) > 3 else "")
        what = f"damaged at images {first}; computing these again"
    elif store.partial.exists() and n_missing == len(store.chunks):
        what = f"nothing usable is listed in {store.list_file.name}; starting again"
    else:
        return
    print(f"features {store.file}: {what}", file=sys.stderr)


@torch.no_grad()
def _apply(network: Network, images: np.ndarray, bar: tqdm) -> np.ndarray:
    """Features float16 (n, P, C) of images uint8 (n, S, S, 3)."""
    found = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(np.array(images[start : start + BATCH])).to(network.pixel_mean.device)
        found.append(network(batch).half().cpu().numpy())
        bar.update(len(batch))
    values = np.concatenate(found)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{network.name} ({network.weights}): features that are not finite in float16; "
            "a random network has to be calibrated first: networks.calibrate(network, images)"
        )
    return values


def _sha256(data: bytes | np.ndarray) -> str:
    return hashlib.sha256(data).hexdigest()
