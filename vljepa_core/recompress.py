"""The image itself at so many bytes: JPEG and WebP, as good as they can be had at or below a limit.

An image is made smaller, encoded, decoded and made as large as it was, over a ladder of sizes and qualities; of what
fits, the one nearest to the original (mean squared error) is taken. Bytes are counted in two ways:

- ``file``: all of it, as it would lie on a disk;
- ``bare``: what differs from image to image at one size and quality: the entropy-coded data, and one byte that says
  which size and quality it was. The rest (tables, dimensions, container) a receiver could know beforehand.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "WebP")
COUNTS = ("file", "bare")
SHARES = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8)  # of the side
QUALITIES = (1, 10, 20, 35, 50, 65, 80, 95)


@dataclass(frozen=True)
class Recompressed:
    """Images after encoding and decoding.

    Attributes:
        images: uint8 (N, S, S, 3); black where nothing fitted.
        sizes: int64 (N,) bytes; 0 where nothing fitted.
        smallest: int64 (N,), the fewest bytes that each could be had at.
    """

    images: np.ndarray
    sizes: np.ndarray
    smallest: np.ndarray

    @property
    def complete(self) -> bool:
        """Whether every image could be had."""
        return bool((self.sizes > 0).all())


def recompress(images: np.ndarray, codec: str, limits: Sequence[tuple[str, int]]) -> list[Recompressed]:
    """Every image at most so many bytes long, once for each limit.

    Args:
        images: uint8 (N, S, S, 3).
        codec: ``JPEG`` or ``WebP``.
        limits: how bytes are counted (``file`` or ``bare``), and how many there may be.

    Raises:
        ValueError: another codec or way of counting.
    """
    for count, _ in limits:
        if codec not in FORMATS or count not in COUNTS:
            raise ValueError(f"{codec}, {count}: expected {' or '.join(FORMATS)}, counted as {' or '.join(COUNTS)}")
    n = len(images)
    found = [
        Recompressed(np.zeros_like(images), np.zeros(n, dtype=np.int64), np.full(n, np.iinfo(np.int64).max))
        for _ in limits
    ]
    errors = np.full((len(limits), n), np.inf)
    for row, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        for side in sides(len(pixels)):
            small = image if side == len(pixels) else image.resize((side, side), Image.Resampling.LANCZOS)
            for quality in QUALITIES:
                data = encode(small, codec, quality)
                sizes = {"file": len(data), "bare": bare_bytes(data, codec)}
                for (count, _), at in zip(limits, found, strict=True):
                    at.smallest[row] = min(at.smallest[row], sizes[count])
                fitting = [i for i, (count, limit) in enumerate(limits) if sizes[count] <= limit]
                if not fitting:
                    continue
                seen = decode(data, len(pixels))
                error = np.square(seen.astype(np.float32) - pixels).mean()
                for i in fitting:
                    if error < errors[i, row]:
                        errors[i, row] = error
                        found[i].images[row], found[i].sizes[row] = seen, sizes[limits[i][0]]
    return found


def sides(side: int) -> list[int]:
    """The ladder of sizes, from the image's own downwards, in pixels."""
    return list(dict.fromkeys(max(1, round(side * share)) for share in SHARES))


def encode(image: Image.Image, codec: str, quality: int) -> bytes:
    """The bytes of a file; JPEG with its standard tables, which need not be sent, WebP lossy at its default effort."""
    file = io.BytesIO()
    image.save(file, codec, quality=quality)
    return file.getvalue()


def decode(data: bytes, side: int) -> np.ndarray:
    """What a receiver sees: uint8 (side, side, 3)."""
    with Image.open(io.BytesIO(data)) as image:
        image = image.convert("RGB")
        return np.asarray(image if image.width == side else image.resize((side, side), Image.Resampling.BICUBIC))


def bare_bytes(data: bytes, codec: str) -> int:
    """Bytes of a file that depend on the image, and one for size and quality.

    JPEG: what follows the scan's header, without the end marker. WebP: the VP8 chunk (RFC 6386, 9.1) without its start
    code and dimensions, 7 bytes; the padding of the chunk is not counted.

    Raises:
        ValueError: a WebP file that is not a plain lossy one.
    """
    if codec == "JPEG":
        start = data.index(b"\xff\xda")
        return 1 + len(data) - 2 - (start + 2 + int.from_bytes(data[start + 2 : start + 4], "big"))
    if data[12:16] != b"VP8 ":
        raise ValueError(f"a WebP file with a {data[12:16]!r} chunk: expected plain lossy WebP")
    return 1 + int.from_bytes(data[16:20], "little") - 7
