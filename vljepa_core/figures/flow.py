"""The data flow, drawn from the code's own rooms."""

from __future__ import annotations

from collections.abc import Sequence

from vljepa_core.figures.boxes import Arrow, Box, diagram
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import styled

# What each room of ``model.vljepa.VLJEPA`` is called in words, and what it reads.
_ROOMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "image": ("image", ()),
    "query": ("fixed query text", ()),
    "visual_encoder": ("visual encoder", ("image",)),
    "text_encoder": ("text encoder", ("query",)),
    "fusion": ("fusion: query reads image", ("visual_encoder", "text_encoder")),
    "predictor": ("semantic predictor: latent plan", ("fusion",)),
    "bytes": ("bytes written so far", ()),
    "decoder": ("text decoder: next byte", ("predictor", "bytes")),
    "classifier": ("classifier", ("predictor",)),
}
_TEXTS = {
    "text_encoder": "query",
    "decoder": "bytes",
}  # rooms that read a text, which no room before them gives


@styled
def data_flow(stages: Sequence[dict]) -> Display:
    """The model from top to bottom: what each room is, the shape of what leaves it, its parameters.

    Args:
        stages: as ``describe.data_flow(recipe)`` returns them: dicts with "name" (of a room, or "image"),
            "module", "shape" (for one image) and "parameters".

    Raises:
        ValueError: a stage is no known room, or a room that another one reads is missing.
    """
    unknown = [stage["name"] for stage in stages if stage["name"] not in _ROOMS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no room of the model; known: {', '.join(_ROOMS)}")
    given = {stage["name"]: stage for stage in stages}
    for room, text in _TEXTS.items():
        if room in given:
            given[text] = {"name": text}
    boxes, arrows, words = [], [], []
    for name in (name for name in _ROOMS if name in given):
        stage, (title, inputs) = given[name], _ROOMS[name]
        count, shape = stage.get("parameters"), stage.get("shape")
        lines = [
            f"out: {' × '.join(map(str, shape))}" if shape else "",
            stage.get("module", ""),
            f"{count:,} parameters" if count else "",
        ]
        boxes.append(Box(name, title, tuple(line for line in lines if line), bool(count)))
        arrows += [Arrow(source, name) for source in inputs]
        words.append(f"{title} ({', '.join(line for line in lines if line)})" if any(lines) else title)
    total = sum(stage.get("parameters") or 0 for stage in stages)
    alt = f"Data flow of the model, {total:,} trainable parameters: {'; '.join(words)}."
    return show(diagram(boxes, arrows), alt, f"Filled: rooms with trainable parameters, {total:,} in all.")
