"""Symbols to as few bytes as their frequencies allow, and back: arithmetic coding in exact whole numbers.

A message is one symbol for each of n channels; the channels' frequencies are known to both sides (fitted on training
plans, so they are part of the decoder and not of the message). The interval [0, 1) is narrowed by one symbol after
another (Rissanen 1976), and a byte string inside it is sent, at most 1 byte and 1 bit longer than the ideal. Python's
integers are exact, so nothing is ever renormalised, and either way takes 10 lines. A library's coder works in words of
4 bytes, which is much of a message of 32. Time grows with the square of n: 10 milliseconds for a plan of 2,000 numbers.

A message does not say how long it is: the packet that carries it does, as it does for a picture's file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

SCALE_BITS = 14
SCALE = 1 << SCALE_BITS  # what the frequencies of a channel add up to
PRIOR = 0.5  # added to every count (Krichevsky and Trofimov 1981), so that what was never seen can be sent


def cumulative_frequencies(symbols: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Frequencies of each channel's symbols, summed up from 0 to ``SCALE``: int64 (n, L + 1).

    Args:
        symbols: int (N, n), those of the training plans; channel i has symbols 0 to ``levels[i]`` - 1.
        levels: int (n,). L is the largest of them; what a channel doesn't have is an empty interval at the end.

    Raises:
        ValueError: more levels than a quarter of ``SCALE``, which would spend everything on what never occurs.
    """
    levels = np.asarray(levels)
    most = int(levels.max())
    if most > SCALE // 4:
        raise ValueError(f"{most} levels: at most {SCALE // 4} can be coded; quantise more coarsely")
    channels = len(levels)
    flat = (symbols.astype(np.int64) + most * np.arange(channels)).ravel()
    counts = np.bincount(flat, minlength=channels * most).reshape(channels, most) + PRIOR
    counts[np.arange(most) >= levels[:, None]] = 0
    share = counts / counts.sum(axis=1, keepdims=True)
    frequencies = np.floor((SCALE - levels[:, None]) * share).astype(np.int64) + (counts > 0)
    rows = np.arange(channels)
    frequencies[rows, counts.argmax(axis=1)] += SCALE - frequencies.sum(axis=1)
    return np.concatenate([np.zeros((channels, 1), dtype=np.int64), frequencies.cumsum(axis=1)], axis=1)


def ideal_bits(symbols: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
    """-log2 p of each message under these frequencies, float64 (N,); no code is shorter on average."""
    frequencies = np.diff(cumulative, axis=1)
    return (SCALE_BITS - np.log2(frequencies[np.arange(len(cumulative)), symbols])).sum(axis=1)


def encode(symbols: Sequence[int], cumulative: Sequence[Sequence[int]]) -> bytes:
    """One message: a symbol for each channel; ``cumulative`` as lists, which are faster than arrays here."""
    low, width = 0, 1  # in units of SCALE ** -(symbols so far)
    for symbol, sums in zip(symbols, cumulative, strict=True):
        low = low * SCALE + width * sums[symbol]
        width *= sums[symbol + 1] - sums[symbol]
    bits = SCALE_BITS * len(cumulative)
    size = max(0, bits - width.bit_length()) // 8
    while True:
        rest = bits - 8 * size
        if rest <= 0:
            return (low << -rest).to_bytes(size, "big")
        number = -(-low >> rest)  # rounded up: the first of this length that is not below the interval
        if number << rest < low + width:
            return number.to_bytes(size, "big")
        size += 1


def decode(message: bytes, cumulative: Sequence[Sequence[int]]) -> list[int]:
    """The symbols that ``encode`` made a message of."""
    value, width = int.from_bytes(message, "big"), 1 << 8 * len(message)
    symbols = []
    for sums in cumulative:
        value <<= SCALE_BITS
        symbol = bisect_right(sums, value // width) - 1
        value -= width * sums[symbol]
        width *= sums[symbol + 1] - sums[symbol]
        symbols.append(symbol)
    return symbols


def coded_bytes(symbols: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
    """Length of each message as it is sent, int64 (N,); symbols (N, n)."""
    lists = cumulative.tolist()
    return np.array([len(encode(row, lists)) for row in symbols.tolist()], dtype=np.int64)


def packed_bytes(levels: np.ndarray) -> int:
    """Length of every message without frequencies: the symbols as the digits of one number of mixed base."""
    product = 1
    for each in np.asarray(levels).tolist():
        product *= each
    return -(-(product - 1).bit_length() // 8)
