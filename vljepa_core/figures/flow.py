"""The data flow, drawn from the code's own rooms."""

from __future__ import annotations

from collections.abc import Sequence

from vljepa_core.figures.boxes import Arrow, Box, diagram
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import styled


@styled
def data_flow(stages: Sequence[dict]) -> Display:
    """Stages from top to bottom with the shape that leaves each, its parameters and where its code is.

    Args:
        stages: dicts with "name"; "module", "shape" (text or a tuple) and "parameters" (int) where there are
            any; "inputs": names of the stages it reads, by default the one before, [] for a source.
    """
    boxes, arrows, words = [], [], []
    for index, stage in enumerate(stages):
        name, shape, count = stage["name"], _shape(stage.get("shape")), stage.get("parameters")
        lines = [f"out: {shape}" if shape else "", stage.get("module") or "", f"{count:,} parameters" if count else ""]
        boxes.append(Box(name, name, tuple(line for line in lines if line), bool(count)))
        inputs = stage.get("inputs")
        if inputs is None:
            inputs = [stages[index - 1]["name"]] if index else []
        arrows += [Arrow(source, name) for source in inputs]
        words.append(name + (f" {shape}" if shape else "") + (f", {count:,} parameters" if count else ""))
    fig = diagram(boxes, arrows)
    return show(fig, f"Data flow of the model: {' → '.join(words)}.", "Filled: rooms with trainable parameters.")


def _shape(shape: object) -> str:
    if shape is None or isinstance(shape, str):
        return shape or ""
    return "(" + ", ".join(map(str, shape)) + ")"
