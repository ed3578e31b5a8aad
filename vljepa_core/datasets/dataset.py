"""What every experiment is given: images, captions, ids and splits, with a fingerprint.

Whatever happened before (downloading, decoding, composing, caching) is invisible from here on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np

from vljepa_core.datasets.categories import PATTERNS


class DataError(ValueError):
    """Data that can't be used; the message names the file or value, and what to do."""


@dataclass(frozen=True)
class Dataset:
    """Images with captions.

    Attributes:
        name: short name, used in paths and titles.
        images: uint8 ``(N, S, S, 3)``, RGB; may be a read-only memory map.
        captions: N lists of at least one caption.
        image_ids: N unique ids.
        splits: ``"train"`` and ``"val"`` -> int64 indices into ``images``, disjoint.
        fingerprint: SHA-256 (hex) of everything above: the same data has the same fingerprint anywhere.
        source: origin, licence and attribution, one paragraph.
        summary: how many images or captions were handled in which way, or refused.
        categories: class name -> words that name it in a caption, for the classification probe.
    """

    name: str
    images: np.ndarray
    captions: list[list[str]]
    image_ids: list[int | str]
    splits: dict[str, np.ndarray]
    fingerprint: str
    source: str
    summary: dict[str, int] = field(default_factory=dict)
    categories: dict[str, tuple[str, ...]] = field(default_factory=lambda: PATTERNS)

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[-1] != 3:
            raise DataError(
                f"{self.name}: images must be uint8 (N, S, S, 3), got {self.images.dtype} {self.images.shape}"
            )
        if len(self.captions) != n or len(self.image_ids) != n:
            raise DataError(f"{self.name}: {n} images, {len(self.captions)} caption lists, {len(self.image_ids)} ids")
        for split in ("train", "val"):
            if len(self.splits.get(split, ())) == 0:
                raise DataError(f"{self.name}: the {split} split is empty")

    @property
    def image_size(self) -> int:
        """Side of the square images in pixels."""
        return self.images.shape[1]


def fingerprint(images: np.ndarray | str, captions: list[list[str]], image_ids: list, splits: dict) -> str:
    """SHA-256 (hex) of pixels (or of their own SHA-256, if that is known), captions, ids and splits."""
    digest = hashlib.sha256()
    if isinstance(images, str):
        digest.update(images.encode())
    else:
        digest.update(repr(images.shape).encode())
        digest.update(np.ascontiguousarray(images).tobytes())
    text = json.dumps([captions, image_ids, {k: np.asarray(v).tolist() for k, v in sorted(splits.items())}])
    digest.update(text.encode())
    return digest.hexdigest()
