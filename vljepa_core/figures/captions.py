"""Generated captions under their pictures, as an HTML grid which wraps on a phone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import get, setting, title
from vljepa_core.figures.tables import html_table

LEFT_OUT = "(left out: repeats a person's caption)"  # by ``records.keep``


def caption_grid(examples: Any, record: Any, n: int = 8, image_ids: Sequence[Any] | None = None) -> Display:
    """Pictures with their reference, greedy and sampled captions.

    Args:
        examples: the run's validation ``Examples``; their drawn caption is the reference.
        record: the run whose captions are shown.
        n: how many pictures, evenly spaced over the record's captions (no picking of good ones).
        image_ids: show these instead.

    Raises:
        ValueError: the record has no captions, or an id is not in it or not in the examples.
    """
    rows = {str(row["image_id"]): row for row in get(record, "captions", [])}
    if not rows:
        raise ValueError(f"{title(record)}: the record holds no captions")
    # Ids pass through JSON and numpy on their way here, so they are compared as text.
    position = {str(key): index for index, key in enumerate(examples.image_ids)}
    if image_ids is None:
        spaced = np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int)
        wanted = [list(rows)[i] for i in spaced]
    else:
        wanted = [str(key) for key in image_ids]
    missing = [key for key in wanted if key not in rows or key not in position]
    if missing:
        raise ValueError(
            f"image {missing[0]!r} is not in both the record of {title(record)} and the examples; "
            "are these the examples that the run was made on?"
        )
    cells = [_cell(examples, position[key], rows[key]) for key in wanted]
    greedy = [rows[key]["greedy"] for key in wanted if "greedy" in rows[key]]
    distinct = len(set(greedy))
    alt = (
        f"{len(wanted)} validation images with the captions of {title(record)}: "
        f"{distinct} distinct greedy {'caption' if distinct == 1 else 'captions'} among them."
    )
    if left_out := len(wanted) - len(greedy):
        alt += f" {left_out} that repeat a person's caption are left out."
    chosen = "evenly spaced" if image_ids is None else "chosen by id"
    note = f"{title(record)} ({setting(record)}): {len(wanted)} of {len(rows)} validation images, {chosen}."
    grid = f'<div class="grid">{"".join(cells)}</div><figcaption>{escape(note)}</figcaption>'
    body = f'<figure class="vljepa">{grid}</figure>'
    return Display(body, alt)


def written_table(records: Sequence[Any], n: int = 8) -> Display:
    """What several runs write for the same validation images, greedily: text alone, for images that are not at hand.

    Args:
        records: runs that were judged on the same data, a column each.
        n: how many images, evenly spaced over those that all of them have.

    Raises:
        ValueError: no image that all of them have.
    """
    written = [{str(row["image_id"]): row.get("greedy") for row in get(r, "captions", [])} for r in records]
    shared = [key for key in written[0] if all(key in captions for captions in written)]
    if not shared:
        raise ValueError(f"{', '.join(title(r) for r in records)}: no image that all of them wrote about")
    wanted = [shared[i] for i in np.linspace(0, len(shared) - 1, min(n, len(shared))).round().astype(int)]
    rows = [
        [escape(key), *(escape(c[key]) if c[key] and c[key].strip() else _nothing(c[key]) for c in written)]
        for key in wanted
    ]
    head = ["image", *(f"{escape(title(r))}<small>{escape(setting(r))}</small>" for r in records)]
    note = f"Greedy captions for {len(wanted)} of {len(shared)} validation images, evenly spaced; none was picked."
    return html_table(note, head, rows)


def png_uri(pixels: np.ndarray) -> str:
    """A uint8 (H, W, 3) picture as a ``data:`` address."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def sample_grid(examples: Any, n: int = 8) -> Display:
    """Pictures with all their captions, evenly spaced over the examples: what the data looks like."""
    cells = [_cell(examples, i) for i in np.linspace(0, len(examples) - 1, min(n, len(examples))).round().astype(int)]
    size = examples.images.shape[1]
    alt = f"{len(cells)} images of {size} x {size} pixels, each with its captions."
    note = f"{len(cells)} of {len(examples)} images, evenly spaced, {size} x {size} pixels as the model sees them."
    grid = f'<div class="grid">{"".join(cells)}</div><figcaption>{escape(note)}</figcaption>'
    return Display(f'<figure class="vljepa">{grid}</figure>', alt)


def _nothing(text: str | None) -> str:
    """In place of an empty caption, or of one that the record lacks."""
    return f"<i class=none>{'(empty)' if text is not None else escape(LEFT_OUT)}</i>"


def _cell(examples: Any, index: int, row: dict | None = None) -> str:
    reference = examples.texts[index]
    pixels = np.asarray(examples.images[index])
    # Small pictures are shown pixel by pixel, as the model sees them; larger ones are smoothed.
    rendering = "pixelated" if pixels.shape[0] <= 96 else "auto"
    alt = escape(f"Image {examples.image_ids[index]}: {reference}")
    if row is None:
        named = [(str(i), text) for i, text in enumerate(examples.references[index], 1)]
    else:
        named = [("reference", reference), ("greedy", row.get("greedy")), ("t = 0.7", row.get("sampled"))]
    texts = "".join(
        f"<dt>{name}</dt><dd>{escape(text) if text and text.strip() else _nothing(text)}</dd>" for name, text in named
    )
    return (
        f'<figure><img src="{png_uri(pixels)}" alt="{alt}" width="{pixels.shape[1]}" '
        f'style="image-rendering:{rendering}"><dl>{texts}</dl></figure>'
    )
