"""The files of an audit, read and refused: predictions, human captions, scores.

Each error names the file, the value and the fix.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from vljepa_core.datasets.annotations import is_unicode, read_annotations, read_json
from vljepa_core.datasets.dataset import DataError

RESULTS = 'the COCO results format: [{"image_id": 42, "caption": "a dog runs"}, ...], one row per image'
MATRIX = (
    "a .npy file of floats, (N, N): scores[i, j] = log p(caption i | image j) in nats, rows and columns in the order "
    "of predictions.json (its first N images), caption i being any human caption of image i"
)
FEWEST = 8  # images that a probe of a matrix needs


def read_captions(file: Path) -> dict[int | str, list[str]]:
    """Human captions of each image that has one, from a COCO captions file.

    Left out are empty captions, and annotations that are there again with the same id, image and text, as in files that
    were merged: the caption that is held out as the human's answer would still be among its references.

    Raises:
        DataError: not COCO captions, a caption that is not text, or no caption at all.
    """
    captions: dict[int | str, list[str]] = {}
    seen = set()
    for i, row in enumerate(read_annotations(file, file_names=False)["annotations"]):
        text = _text(row["caption"], f"{file}: annotations[{i}]")
        if text and (annotation := (row["id"], row["image_id"], text)) not in seen:
            seen.add(annotation)
            captions.setdefault(row["image_id"], []).append(text)
    if not captions:
        raise DataError(f"{file}: no captions in it; give the human captions of the images that were captioned")
    return captions


def read_predictions(file: Path, known: Collection[int | str], partial: bool = False) -> dict[int | str, str]:
    """Image id -> generated caption, in the file's order.

    Args:
        known: the ids that may be captioned, and that must all be unless ``partial``.

    Raises:
        DataError: another format, unknown, repeated or missing images, a caption that is not text, fewer than two.
    """
    rows = read_json(file, RESULTS)
    if not isinstance(rows, list):
        keys = f" with the keys {', '.join(map(repr, list(rows)[:5]))}" if isinstance(rows, dict) else ""
        raise DataError(f"{file}: a JSON {type(rows).__name__}{keys}, not a list; expected {RESULTS}")
    known = dict.fromkeys(known)
    found: dict[int | str, str] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{file}: row {i} is {_short(row)}, not an object; expected {RESULTS}")
        for key in ("image_id", "caption"):
            if key not in row:
                close = difflib.get_close_matches(key, row, 1)
                hint = f' (it has "{close[0]}")' if close else ""
                raise DataError(f'{file}: row {i} has no "{key}"{hint}; expected {RESULTS}')
        image_id = row["image_id"]
        if type(image_id) not in (int, str):
            raise DataError(f"{file}: row {i} has image_id {_short(image_id)}, not a whole number or text")
        if image_id not in known:
            raise DataError(f"{file}: row {i}: {_unknown(image_id, known)}")
        if image_id in found:
            raise DataError(
                f"{file}: row {i}: a second prediction for image {image_id!r} (the first is "
                f"{_short(found[image_id])}); keep one caption per image"
            )
        found[image_id] = _text(row["caption"], f"{file}: row {i} (image {image_id!r})")
    missing = [i for i in known if i not in found]
    if missing and not partial:
        raise DataError(
            f"{file}: no prediction for {len(missing):,} of {len(known):,} images, such as "
            f"{', '.join(map(repr, missing[:3]))}; caption them too, or say --partial to audit the "
            f"{len(found):,} that are there"
        )
    if len(found) < 2:
        raise DataError(f"{file}: {len(found)} predictions; nothing can be compared with fewer than two images")
    return found


def read_scores(file: Path, images: int) -> np.ndarray:
    """The matrix of log-likelihoods, left on disk (read-only): float (M, M) with M <= ``images``.

    Its values are checked where they are used, see ``check_scores``.

    Raises:
        DataError: not a .npy file of plain floats, or of another shape.
    """
    try:
        scores = np.load(file, allow_pickle=False, mmap_mode="r")
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror or error}); expected {MATRIX}") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{file}: not an array of numbers ({error}); expected {MATRIX}") from None
    if not isinstance(scores, np.ndarray):
        raise DataError(f"{file}: an archive of several arrays; save one with np.save; expected {MATRIX}")
    if scores.dtype.kind != "f":
        raise DataError(f"{file}: numbers of type {scores.dtype}, not floats; expected {MATRIX}")
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or not FEWEST <= len(scores) <= images:
        raise DataError(
            f"{file}: shape {scores.shape}, and there are {images:,} predictions; expected {MATRIX}, "
            f"N from {FEWEST} to {images:,}"
        )
    return scores


def check_scores(scores: np.ndarray, rows: np.ndarray, file: Path | str) -> None:
    """DataError if log-likelihoods are not finite or positive; ``rows`` are their places in the file's matrix."""
    for bad, why, fix in (
        (~np.isfinite(scores), "not finite", "clip log 0 to -10000, and find out where a NaN comes from"),
        (scores > 1e-3, "above 0", "a log-likelihood is at most 0; if these are losses, save them with a minus"),
    ):
        if bad.any():
            i, j = np.argwhere(bad)[0]
            where, share = f"scores[{rows[i]}, {rows[j]}]", f"{bad.sum():,} of {bad.size:,} are"
            raise DataError(f"{file}: {where} is {scores[i, j]}, {why} ({share}); {fix}")


def _text(caption: object, where: str) -> str:
    if not isinstance(caption, str):
        raise DataError(f'{where} has "caption" {_short(caption)}, not text; expected one caption as a string')
    if not is_unicode(caption):
        raise DataError(f"{where} has a caption with half a character (a lone surrogate): {_short(caption)}")
    return caption.strip()


def _unknown(image_id: int | str, known: Mapping[int | str, None]) -> str:
    other = str(image_id) if isinstance(image_id, int) else _number(image_id)
    if other in known:
        return f"image_id {image_id!r} should be {other!r}, as in the captions file (text and numbers differ)"
    some = ", ".join(repr(i) for i in list(known)[:3])
    return (
        f"image_id {_short(image_id)} has no caption in the captions file, whose ids are like {some}; "
        "take the captions of the images that were captioned"
    )


def _number(text: str) -> int | None:
    try:
        return int(text) if text.strip().isdecimal() else None
    except ValueError:  # more digits than Python reads
        return None


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
