"""Longer tokens than bytes: pieces of words, learned from the training captions (byte-pair encoding, by SentencePiece).

Ids 0 to 259 are the byte tokenizer's, special ids included; those above are pieces. Text comes back as it was: a
character that no piece covers is spelt in bytes. The one exception is U+2581, SentencePiece's sign for a space.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from vljepa_core.tokenizer import BOS, BYTE_OFFSET, EOS, PAD, UNK, VOCAB_SIZE, padded


def _learned_from(texts: list[str], ids: int) -> list[str]:
    """The texts; where they have more different characters than there are ``ids``, without the rarer ones.

    Half of the ids are then for the most frequent characters, and half for pieces of them. The texts are cut at all
    others, which bytes spell. (SentencePiece wants an id for every character of what it learns from, or nearly.)
    """
    counts = Counter(character for text in texts for character in text)
    if len(counts) <= ids:
        return texts
    by_count = sorted(counts, key=lambda character: (-counts[character], character))
    rare = re.compile(f"[{re.escape(''.join(by_count[max(1, ids // 2) :]))}]+")
    return [part for text in texts for part in rare.split(text) if part]


class Pieces:
    """A vocabulary of bytes and pieces. Same texts, same vocabulary."""

    def __init__(self, texts: Iterable[str], vocab_size: int) -> None:
        """Learn up to ``vocab_size`` ids, special ones and bytes included; fewer where the texts have no more pairs."""
        import sentencepiece  # here: only recipes with more ids than bytes need it

        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(_learned_from(list(texts), vocab_size - VOCAB_SIZE)),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            byte_fallback=True,
            character_coverage=1.0,
            # Text as it is: nothing is normalised, no space is added or taken away.
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            max_sentence_length=1_000_000,
            pad_id=PAD,
            bos_id=BOS,
            eos_id=EOS,
            unk_id=UNK,
            num_threads=1,
            minloglevel=2,
        )
        self._model = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        self.size = self._model.get_piece_size()
        texts_of = (self._model.id_to_piece(i).replace("\u2581", " ") for i in range(VOCAB_SIZE, self.size))
        self._bytes = np.array([0, 0, 1, 0, *[1] * 256, *(len(text.encode()) for text in texts_of)])

    def encode(self, text: str, max_length: int) -> list[int]:
        """Ids of one text, at most ``max_length`` of them (the cut drops EOS, as the byte tokenizer's does)."""
        return [BOS, *self._model.encode(text), EOS][:max_length]

    def encode_batch(self, texts: Sequence[str], max_length: int) -> np.ndarray:
        """Ids of many texts, uint16 (N, L), padded with PAD to the longest, L <= ``max_length``."""
        return padded([self.encode(text, max_length) for text in texts])

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids up to the first EOS; special ids and unknown ones are skipped."""
        kept: list[int] = []
        for i in map(int, ids):
            if i == EOS:
                break
            if BYTE_OFFSET <= i < self.size:
                kept.append(i)
        return self._model.decode(kept)

    def bytes_predicted(self, ids: np.ndarray) -> np.ndarray:
        """Bytes that a decoder writes for each row of ids (N, L), EOS counting as one: int64 (N,)."""
        return self._bytes[ids].sum(axis=1)
