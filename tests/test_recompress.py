"""Images at so many bytes: never more, as good as can be, and what is not counted is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vljepa_core import recompress as module
from vljepa_core.recompress import bare_bytes, decode, encode, recompress, sides


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth, noisy and flat: uint8 (4, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] * 8
    smooth = np.stack([x, y, 255 - x], axis=-1)
    disc = np.where(((x - 128) ** 2 + (y - 128) ** 2 < 6_000)[..., None], [250, 30, 30], [20, 60, 200])
    return np.stack([smooth, disc, rng.integers(0, 256, (32, 32, 3)), np.full((32, 32, 3), 90)]).astype(np.uint8)


@pytest.mark.parametrize("codec", module.FORMATS)
@pytest.mark.parametrize("count", module.COUNTS)
def test_never_more_bytes_than_allowed_and_the_best_that_fits(images, codec, count) -> None:
    limits = [(count, limit) for limit in (20, 100, 300, 900)]
    found = recompress(images, codec, limits)
    for row, pixels in enumerate(images):
        tried = []  # (bytes, error) of all, one after another
        for side in sides(32):
            small = Image.fromarray(pixels)
            small = small if side == 32 else small.resize((side, side), Image.Resampling.LANCZOS)
            for quality in module.QUALITIES:
                data = encode(small, codec, quality)
                size = len(data) if count == "file" else bare_bytes(data, codec)
                tried.append((size, np.square(decode(data, 32).astype(float) - pixels).mean()))
        for (_, limit), at in zip(limits, found, strict=True):
            fits = [error for size, error in tried if size <= limit]
            assert at.smallest[row] == min(size for size, _ in tried)
            if not fits:
                assert at.sizes[row] == 0 and not at.complete
                continue
            assert 0 < at.sizes[row] <= limit
            error = np.square(at.images[row].astype(float) - pixels).mean()
            assert error == pytest.approx(min(fits), rel=1e-5)


def test_a_jpeg_file_of_32_bytes_does_not_exist_and_a_bare_one_does(images) -> None:
    file, bare = recompress(images[[0, 1, 3]], "JPEG", [("file", 32), ("bare", 32)])
    assert not file.complete and file.smallest.min() > 600
    assert bare.complete


def test_a_bare_jpeg_is_all_that_differs_between_two_files(images) -> None:
    """The header of another image's file and this one's bare bytes decode to this image."""
    one, other = (encode(Image.fromarray(images[i]), "JPEG", 50) for i in (0, 2))
    size = bare_bytes(one, "JPEG") - 1  # without the byte for size and quality
    header = other[: len(other) - 2 - (bare_bytes(other, "JPEG") - 1)]
    rebuilt = header + one[-2 - size : -2] + b"\xff\xd9"
    assert (decode(rebuilt, 32) == decode(one, 32)).all()


def test_a_bare_webp_is_all_that_differs_between_two_files(images) -> None:
    """Container, start code and dimensions are made anew from the side alone."""
    data = encode(Image.fromarray(images[0]), "WebP", 50)
    chunk = int.from_bytes(data[16:20], "little")
    bare = data[20:23] + data[30 : 20 + chunk]
    assert len(bare) + 1 == bare_bytes(data, "WebP")
    frame = bare[:3] + b"\x9d\x01\x2a" + (32).to_bytes(2, "little") * 2 + bare[3:]
    body = b"WEBPVP8 " + len(frame).to_bytes(4, "little") + frame + b"\0" * (len(frame) % 2)
    rebuilt = b"RIFF" + len(body).to_bytes(4, "little") + body
    assert (decode(rebuilt, 32) == decode(data, 32)).all()
    with pytest.raises(ValueError, match="plain lossy"):
        bare_bytes(data[:12] + b"VP8L" + data[16:], "WebP")


def test_more_bytes_are_no_worse(images) -> None:
    found = recompress(images, "WebP", [("bare", limit) for limit in (60, 120, 400, 900)])
    errors = [np.square(at.images.astype(float) - images).mean(axis=(1, 2, 3)) for at in found]
    assert all((after <= before).all() for before, after in zip(errors, errors[1:], strict=False))


def test_another_format_is_refused(images) -> None:
    with pytest.raises(ValueError, match="PNG, file"):
        recompress(images, "PNG", [("file", 100)])
    with pytest.raises(ValueError, match="whole"):
        recompress(images, "JPEG", [("whole", 100)])


def test_sides_go_down_and_never_vanish() -> None:
    assert sides(64) == [64, 48, 32, 24, 16, 12, 8]
    assert min(sides(2)) == 1
