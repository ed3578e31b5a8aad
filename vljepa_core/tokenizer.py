"""Bytes to token ids and back: the study's byte-level tokenizer.

Ids 0..3 are PAD, BOS, EOS, UNK; id ``4 + b`` is the byte ``b``. A caption is BOS + UTF-8 bytes + EOS,
cut at ``max_length`` ids. The cut drops EOS, exactly as the published code does, so a caption of
more than ``max_length - 2`` bytes keeps its first ``max_length - 1`` and has no end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

PAD, BOS, EOS, UNK = 0, 1, 2, 3
BYTE_OFFSET = 4
VOCAB_SIZE = BYTE_OFFSET + 256  # 260


class Tokens(Protocol):
    """What turns captions into ids and back: this module, or ``pieces.Pieces``."""

    def encode_batch(self, texts: Sequence[str], max_length: int) -> np.ndarray:
        """Ids of many texts, uint16 (N, L), padded with PAD."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids up to the first EOS."""
        ...

    def bytes_predicted(self, ids: np.ndarray) -> np.ndarray:
        """Bytes that a decoder writes for each row of ids (N, L), EOS counting as one: int64 (N,)."""
        ...


def encode(text: str, max_length: int) -> list[int]:
    """Ids of one text, at most ``max_length`` of them (the cut drops EOS)."""
    ids = [BOS, *(BYTE_OFFSET + b for b in text.encode("utf-8")), EOS]
    return ids[:max_length]


def encode_batch(texts: Sequence[str], max_length: int) -> np.ndarray:
    """Ids of many texts, uint16 ``(N, L)``, padded with PAD to the longest, ``L <= max_length``."""
    return padded([encode(text, max_length) for text in texts])


def padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Rows of ids as one table, uint16 (N, L), padded with PAD to the longest."""
    table = np.full((len(rows), max(map(len, rows), default=0)), PAD, dtype=np.uint16)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def decode(ids: Iterable[int]) -> str:
    """Text of ids up to the first EOS; special ids are skipped, broken UTF-8 becomes U+FFFD."""
    data = bytearray()
    for i in ids:
        if i == EOS:
            break
        if i >= BYTE_OFFSET:
            data.append(int(i) - BYTE_OFFSET)
    return data.decode("utf-8", errors="replace")


def bytes_predicted(ids: np.ndarray) -> np.ndarray:
    """Bytes that a decoder writes for each row of ids (N, L), EOS counting as one, BOS being given: int64 (N,)."""
    return (ids != PAD).sum(axis=1) - 1
