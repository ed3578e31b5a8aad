"""Pieces of words instead of bytes: text comes back, ids are shared with the bytes', losses stay per byte."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.test_interventions import examples
from vljepa_core import runs, tokenizer
from vljepa_core.baselines import blind_memoriser
from vljepa_core.datasets.scenes import make_scenes
from vljepa_core.datasets.selection import select
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import Captioning, caption_nats
from vljepa_core.pieces import Pieces
from vljepa_core.recipes import RecipeError, recipe
from vljepa_core.resident import Resident

PLACES = ("beach", "street", "grass")
THINGS = ("red dog", "blue dog", "grey dog", "red bus", "blue bus", "grey bus", "red kite", "blue kite", "grey kite")
TEXTS = [f"a {thing} on the {place} ." for thing in THINGS for place in PLACES]


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    return Pieces(TEXTS, 320)


@pytest.mark.parametrize(
    "text", ["a red dog on the beach .", "", "  two  spaces ", "Ünïcode ☃ 猫", "line\nand\ttab", "ZEBRA?!", TEXTS[-1]]
)
def test_text_comes_back_and_its_bytes_are_counted(pieces: Pieces, text: str) -> None:
    ids = pieces.encode(text, 128)
    assert ids[0] == tokenizer.BOS and ids[-1] == tokenizer.EOS
    assert pieces.decode(ids) == text and pieces.decode([*ids, 300, 301]) == text
    table = pieces.encode_batch([text, "a dog"], 128)
    assert pieces.bytes_predicted(table).tolist() == [len(text.encode()) + 1, len("a dog") + 1]


def test_ids_of_bytes_are_the_byte_tokenizers_and_the_vocabulary_is_learned_alike(pieces: Pieces) -> None:
    assert pieces.encode("猫", 128)[1:-1] == tokenizer.encode("猫", 128)[1:-1], "unknown: spelt in bytes"
    longer = tokenizer.encode_batch(TEXTS, 128)
    again = Pieces(TEXTS, 320)
    assert np.array_equal(pieces.encode_batch(TEXTS, 128), again.encode_batch(TEXTS, 128))
    assert pieces.encode_batch(TEXTS, 128).shape[1] < longer.shape[1] / 2
    assert pieces.decode([tokenizer.BOS, tokenizer.UNK, 60_000, tokenizer.EOS]) == "", (
        "what no id stands for is skipped"
    )
    assert Pieces(TEXTS, 5_000).size < 1_000, "texts that have no more pairs give fewer ids"


def test_more_characters_than_ids_leave_the_rare_ones_to_the_bytes() -> None:
    """3,000 different characters and 764 ids above the bytes: the most frequent words still become pieces."""
    rare = [chr(0x4E00 + i) for i in range(3_000)] + list("^]-\\[")
    texts = [f"{text} {character}" for text, character in zip(TEXTS * 200, rare, strict=False)]
    pieces = Pieces(texts, 1024)
    assert pieces.size <= 1024
    for text in (texts[0], "猫 on ^]-\\[", *texts[-5:]):
        assert pieces.decode(pieces.encode(text, 128)) == text
    assert len(pieces.encode(TEXTS[0], 128)) < len(TEXTS[0]) / 2
    characters = len(set("".join(TEXTS)))
    for ids in (1, 2, characters - 1, characters):
        few = Pieces(TEXTS, tokenizer.VOCAB_SIZE + ids)
        assert few.size <= tokenizer.VOCAB_SIZE + ids and few.decode(few.encode(TEXTS[0], 128)) == TEXTS[0]


def test_a_long_caption_is_cut_without_its_end(pieces: Pieces) -> None:
    ids = pieces.encode(" ".join(TEXTS), 16)
    assert len(ids) == 16 and tokenizer.EOS not in ids
    text = " ".join(TEXTS)
    assert text.startswith(pieces.decode(ids))
    assert pieces.bytes_predicted(np.array([ids])).item() == len(pieces.decode(ids).encode())


def test_bytes_of_the_byte_tokenizer_are_its_ids() -> None:
    table = tokenizer.encode_batch([*TEXTS, "x" * 300], 128)
    assert tokenizer.bytes_predicted(table).tolist() == [len(t.encode()) + 1 for t in TEXTS] + [127]


def test_what_a_memoriser_pays_for_a_caption_does_not_depend_on_how_it_is_spelt(pieces: Pieces) -> None:
    captions = [*TEXTS, *TEXTS[:5], *TEXTS[:2]]
    by_bytes = blind_memoriser(captions, 128)
    assert blind_memoriser(captions, 128, tokens=pieces) == pytest.approx(by_bytes, rel=1e-12)


def test_the_vocabulary_is_learned_from_the_training_captions_alone() -> None:
    dataset = make_scenes(n_train=40, n_val=12, image_size=64, cache_dir=None, progress=False)
    wanted = recipe("run2", "smoke", n_train=30, n_val=8, vocab_size=330)
    found = select(dataset, wanted, seed=0)
    train, val = found["train"], found["val"]
    assert val.tokens is train.tokens and [val.tokens.decode(row) for row in val.ids] == val.texts
    seen = Pieces([text for each in train.references for text in each], 330)
    assert np.array_equal(seen.encode_batch(val.texts, wanted.max_length), val.ids)
    assert train.first(3).tokens is train.tokens and len(train.first(3)) == 3


def test_losses_are_reported_per_byte() -> None:
    byte_wise = examples()
    tokens = Pieces(byte_wise.texts, 300)
    ids = tokens.encode_batch(byte_wise.texts, 128)
    spelt = dataclasses.replace(byte_wise, tokens=tokens, ids=ids)
    r = recipe("run2", "smoke", vocab_size=300, label_smoothing=0.0, diversity_weight=0.0)
    torch.manual_seed(0)
    model = VLJEPA(r).eval()
    split = Resident(spelt, torch.device("cpu"))
    nats, counts, _ = caption_nats(model, split)
    assert counts.tolist() == [len(text) + 1 for text in spelt.texts]
    _, parts = Captioning(r, split).loss(model, *split.batch(np.arange(len(split))))
    assert parts["train_loss"].item() == pytest.approx(nats.sum() / counts.sum(), rel=1e-4)


def test_a_run_in_pieces_has_a_record(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VLJEPA_DATA", str(tmp_path))
    record = runs.run("run2", "smoke", "scenes", progress=False, vocab_size=400, n_train=64, n_val=16, captions="all")
    assert record.value("val_loss") > 0 and all(isinstance(row["greedy"], str) for row in record.captions)


def test_what_can_not_be_is_refused() -> None:
    with pytest.raises(RecipeError, match="looks for spaces"):
        recipe("run2", "smoke", vocab_size=400, input_dropout="word")
    with pytest.raises(RecipeError, match="65,536"):
        recipe("run2", "smoke", vocab_size=100_000)
