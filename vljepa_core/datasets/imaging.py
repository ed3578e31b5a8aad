"""One image file -> one square uint8 RGB array, whatever the file's colour mode.

What happens to unusual files: grey and CMYK are converted; palettes are expanded; transparency is put on
white, as a web page would show it; 16-bit samples keep their high byte; an EXIF orientation is applied.
Files of more than ``MAX_PIXELS`` pixels are refused before anything is decoded.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 2**26  # 8192 x 8192; decoded that is 192 MiB of RGB for each worker
# Raster formats only: Pillow would otherwise hand .eps files to an external interpreter.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
# Raised whenever the pixels that a preprocessing makes change, so that old caches are made again.
PREPROCESSING_VERSION = 1
SQUASH_SIDE = 128  # the side of the study's own image cache


class BadImage(Exception):
    """A file that can't be used. ``kind`` is "unreadable", "too large" or "missing"; the text says why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def squash(image: Image.Image, image_size: int) -> Image.Image:
    """As published: the whole image to 128 x 128 (bicubic), then to ``image_size`` (bilinear, antialias)."""
    small = image
    if image.size != (SQUASH_SIDE, SQUASH_SIDE):  # else Pillow would only copy it
        small = image.resize((SQUASH_SIDE, SQUASH_SIDE), Image.Resampling.BICUBIC)
    return small.resize((image_size, image_size), Image.Resampling.BILINEAR)


def crop(image: Image.Image, image_size: int) -> Image.Image:
    """The largest central square, to ``image_size`` (bilinear, antialiased); keeps proportions."""
    return ImageOps.fit(image, (image_size, image_size), Image.Resampling.BILINEAR)


PREPROCESSING = {"squash": squash, "crop": crop}


def decode(file: Path | BinaryIO, image_size: int, preprocess: str) -> tuple[np.ndarray, list[str]]:
    """Decode one file, or what is in memory of one.

    Returns:
        uint8 ``(image_size, image_size, 3)`` and the names of what had to be handled, from
        "grey", "palette", "transparent", "cmyk", "16-bit", "rotated".

    Raises:
        BadImage: the file is damaged, truncated, no raster image, or has more than ``MAX_PIXELS`` pixels.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise BadImage("too large", f"{width} x {height} pixels, the limit is {MAX_PIXELS:,}")
            notes = []
            if preprocess == "crop":
                # A JPEG can be decoded at 1/2, 1/4 or 1/8; still at least twice the size that is needed.
                # Not for "squash": it would change the published pixels.
                image.draft(None, (2 * image_size, 2 * image_size))
            # A 16-bit colour file is loaded as 8-bit RGB (the high bytes): only its raw mode tells.
            sixteen_bit = image.mode.startswith("I") or (image.format != "JPEG" and ";16" in str(image.tile))
            image.load()
            if sixteen_bit:  # a transparent colour given in 16 bits can't be told apart after the reduction
                image.info.pop("transparency", None)
            if _turn_upright(image):
                notes.append("rotated")
            if sixteen_bit:
                notes.append("16-bit")
            if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I"):
                notes.append("grey")
            if image.mode in ("P", "PA"):
                notes.append("palette")
            if image.mode == "CMYK":
                notes.append("cmyk")
            if image.has_transparency_data:
                notes.append("transparent")
            pixels = PREPROCESSING[preprocess](to_rgb(image), image_size)
            return np.asarray(pixels, dtype=np.uint8), notes
    except (BadImage, MemoryError):
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, met before the size could be read
        raise BadImage("too large", f"the limit is {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # on damaged files Pillow's parsers raise nearly every built-in exception
        text = str(error).replace(f" {file!r}", "")  # of a file in memory this would be its address
        reason = (text.replace(str(file), file.name) if isinstance(file, Path) else text) or type(error).__name__
        raise BadImage("unreadable", reason) from None


def to_rgb(image: Image.Image) -> Image.Image:
    """An 8-bit RGB image of a loaded image of any mode; an RGB image is returned as it is, uncopied."""
    if image.mode == "F":
        raise BadImage("unreadable", "floating-point pixels have no stated range")
    if image.mode.startswith("I"):  # Pillow's own conversion clips at 255 instead of scaling
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 0xFFFF:
            raise BadImage("unreadable", "samples of more than 16 bits")
        image = Image.fromarray((samples >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _turn_upright(image: Image.Image) -> bool:
    """Apply the EXIF orientation in place; True if there was one to apply. Damaged EXIF counts as none."""
    try:
        turned = image.getexif().get(0x0112, 1) in range(2, 9)
        if turned:
            ImageOps.exif_transpose(image, in_place=True)
        return turned
    except Exception:  # the pixels are fine; only their metadata isn't
        return False
