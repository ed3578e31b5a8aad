"""The README's picture: of the recorded runs, whatever captions they hold."""

from __future__ import annotations

import dataclasses
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

import vljepa_core
from vljepa_core.figures.captions import LEFT_OUT
from vljepa_core.provenance import REPOSITORY


@pytest.fixture
def picture(monkeypatch):
    """The script as a module, with grey images in place of the scenes."""
    spec = importlib.util.spec_from_file_location("picture", REPOSITORY / "book" / "picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ids = [row["image_id"] for row in module.recorded_on_scenes("run6").captions]

    class Validation(SimpleNamespace):
        __len__ = lambda self: len(self.image_ids)  # noqa: E731

    shown = Validation(image_ids=ids, images=np.full((len(ids), 8, 8, 3), 128, dtype=np.uint8))
    monkeypatch.setattr(vljepa_core, "prepare", lambda *_, **__: SimpleNamespace(examples={"val": shown}))
    return module


def test_a_caption_that_a_record_lacks_is_said_to_be_left_out(picture, monkeypatch) -> None:
    whole = picture.recorded_on_scenes

    def some(experiment: str):
        record = whole(experiment)
        first, *rest = record.captions
        lacking = {key: value for key, value in first.items() if key != "greedy"}
        return dataclasses.replace(record, captions=[lacking, *({**row, "greedy": "a $ and a $"} for row in rest)])

    monkeypatch.setattr(picture, "recorded_on_scenes", some)
    figure = picture.picture()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0].replace("\n", " ") == LEFT_OUT and titles[1:] == ["a $ and a $"] * 7
    assert figure.get_suptitle() == "Run 2 writes for 399 of 400 pictures: “a $ and a $”"
    figure.canvas.draw()


def test_a_run_that_is_not_recorded_is_named(picture) -> None:
    with pytest.raises(FileNotFoundError, match="run run3 --keep"):
        picture.recorded_on_scenes("run3")
