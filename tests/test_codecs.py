"""A plan to bytes and back: against brute force, ideal lengths, sums by hand, and plans whose worth is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vljepa_core import entropy_coding as coding
from vljepa_core.codecs import Codec, PlanCoder, all_codecs, cut, some_codecs
from vljepa_core.quantise import fit_quantiser, fit_step

RNG = np.random.default_rng(0)


# ---- entropy coding


def tables(shares: list[list[float]], n: int = 4_000) -> np.ndarray:
    levels = np.array([len(each) for each in shares])
    drawn = np.stack([RNG.choice(len(each), n, p=each) for each in shares], axis=1)
    return coding.cumulative_frequencies(drawn, levels)


def test_every_message_of_a_small_alphabet_comes_back_and_lies_in_its_interval() -> None:
    """All 3 x 2 x 4 messages; the oracle searches all byte strings for the shortest that lies in the interval."""
    cumulative = tables([[0.9, 0.07, 0.03], [0.5, 0.5], [0.97, 0.01, 0.01, 0.01]])
    lists = cumulative.tolist()
    assert cumulative[1].tolist()[2:] == [coding.SCALE] * 3  # symbols it doesn't have take no room
    for symbols in itertools.product(range(3), range(2), range(4)):
        message = coding.encode(symbols, lists)
        assert coding.decode(message, lists) == list(symbols)
        low, width = 0.0, 1.0
        for symbol, sums in zip(symbols, lists, strict=True):  # exact: 42 bits in a float of 53
            low += width * sums[symbol] / coding.SCALE
            width *= (sums[symbol + 1] - sums[symbol]) / coding.SCALE
        shortest = next(
            size for size in range(9) if any(low <= x / 256**size < low + width for x in (math.ceil(low * 256**size),))
        )
        assert shortest <= len(message) <= math.ceil((1 - math.log2(width)) / 8)


def test_long_messages_come_back_and_take_their_ideal_length() -> None:
    levels = np.array([255, 2, 16, 5] * 60)
    train = (RNG.normal(0, 0.15, (3_000, len(levels))) * levels + levels / 2).clip(0, levels - 1).astype(int)
    sent = (RNG.normal(0, 0.15, (40, len(levels))) * levels + levels / 2).clip(0, levels - 1).astype(int)
    cumulative = coding.cumulative_frequencies(train, levels)
    ideal, coded = coding.ideal_bits(sent, cumulative), coding.coded_bytes(sent, cumulative)
    assert (8 * coded >= ideal - 8).all() and (8 * coded <= ideal + 9).all()
    assert abs((8 * coded - ideal).mean()) < 8
    lists = cumulative.tolist()
    for row in sent[:10].tolist():
        assert coding.decode(coding.encode(row, lists), lists) == row
    assert coded.mean() < coding.packed_bytes(levels)


def test_frequencies_add_up_leave_nothing_out_and_follow_the_counts() -> None:
    symbols = np.array([[0, 1], [0, 1], [0, 0], [2, 1]])
    cumulative = coding.cumulative_frequencies(symbols, np.array([4, 2]))
    assert (cumulative[:, -1] == coding.SCALE).all()
    frequencies = np.diff(cumulative, axis=1)
    assert (frequencies[0] > 0).all() and (frequencies[1] > 0).tolist() == [True, True, False, False]
    assert frequencies[0] / coding.SCALE == pytest.approx(np.array([3.5, 0.5, 1.5, 0.5]) / 6, abs=1e-3)
    uniform = coding.cumulative_frequencies(np.tile(np.arange(4)[:, None], (1, 3)), np.array([4, 4, 4]))
    assert coding.ideal_bits(np.array([[0, 1, 3]]), uniform) == pytest.approx([6.0])
    with pytest.raises(ValueError, match="5000 levels"):
        coding.cumulative_frequencies(symbols[:, :1], np.array([5_000]))


@pytest.mark.parametrize(("levels", "size"), [([2] * 8, 1), ([2] * 9, 2), ([5] * 128, 38), ([16] * 64, 32), ([1], 0)])
def test_packed_bytes(levels, size) -> None:
    """5 ** 128 has 297.2 bits: 38 bytes, where 3 bits for each would take 48."""
    assert coding.packed_bytes(np.array(levels)) == size


# ---- quantisers


def test_binary_by_hand() -> None:
    x = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0], [7.0, 0.0]], dtype=np.float32)  # mean 4, deviations 3, 1, 1, 3
    q = fit_quantiser("binary", x)
    assert q.symbols(np.array([[-9.0, 0.0], [4.5, 0.0]])).tolist() == [[0, 1], [1, 1]]
    assert q.numbers(np.array([[0, 1], [1, 0]])).tolist() == [[2.0, 0.0], [6.0, 0.0]]


def test_half_precision_is_ieee() -> None:
    x = RNG.normal(size=(5, 3)).astype(np.float32)
    q = fit_quantiser("fp16", x)
    assert (q.numbers(q.symbols(x)) == x.astype(np.float16)).all()
    assert coding.packed_bytes(q.levels) == 6


@pytest.mark.parametrize(("precision", "levels"), [("int8", 256), ("int4", 16), ("fsq5", 5), ("fsq9", 9)])
def test_quantisers_are_idempotent_use_their_levels_and_err_no_more_than_those_with_fewer(precision, levels) -> None:
    x = (RNG.normal(size=(2_000, 6)) * [1, 2, 4, 1e-3, 10, 1] + [0, 5, -3, 0, 100, 0]).astype(np.float32)
    q = fit_quantiser(precision, x)
    symbols = q.symbols(x)
    assert (q.levels == levels).all() and symbols.min() >= 0 and symbols.max() == levels - 1
    again = q.numbers(symbols)
    assert (q.symbols(again) == symbols).all()
    error = np.square(again - x).mean(axis=0) / x.var(axis=0)
    fewer = fit_quantiser({"int8": "int4", "int4": "fsq5", "fsq5": "binary", "fsq9": "fsq5"}[precision], x)
    assert (error < np.square(fewer.numbers(fewer.symbols(x)) - x).mean(axis=0) / x.var(axis=0)).all()


@pytest.mark.parametrize(("precision", "most"), [("binary", 0.3634), ("int4", 0.0125), ("fsq5", 0.087)])
def test_error_on_a_normal_channel_is_near_the_best_there_is(precision, most) -> None:
    """Max (1960): no scalar quantiser of a normal variable errs less than 0.3634 (2 levels), 0.0799 (5), 0.01154
    (16 equal steps) of its variance. tanh's levels are not the best ones, the grid of scales is not fine."""
    x = RNG.normal(size=(200_000, 1)).astype(np.float32)
    q = fit_quantiser(precision, x)
    error = np.square(q.numbers(q.symbols(x)) - x).mean()
    assert {"binary": 0.3634, "int4": 0.01154, "fsq5": 0.0799}[precision] * 0.98 < error < most * 1.02


def test_a_channel_that_never_varies_and_numbers_beyond_the_training_ones() -> None:
    x = np.array([[2.0, 0.0], [2.0, 1.0]], dtype=np.float32)
    for precision in ("int8", "int4", "binary", "fsq5"):
        q = fit_quantiser(precision, x)
        assert q.numbers(q.symbols(x))[:, 0] == pytest.approx([2.0, 2.0]), precision
        far = q.numbers(q.symbols(np.array([[2.0, 1e6], [2.0, -1e6]], dtype=np.float32)))
        assert np.isfinite(far).all() and np.abs(far).max() < 5, precision
    far = fit_step(x, 0.25)
    assert far.numbers(far.symbols(np.array([[3.0, 9.0]], dtype=np.float32))).tolist() == [[2.0, 1.0]]
    assert far.levels.tolist() == [1, 5]


@pytest.mark.parametrize("precision", ["int3", "fsq", "fsq4", "fsq1", "fp32"])
def test_another_precision_is_refused(precision) -> None:
    with pytest.raises(ValueError, match="expected fp16"):
        fit_quantiser(precision, np.zeros((2, 2), dtype=np.float32))


# ---- codecs


def plans(n: int = 300, k: int = 3, d: int = 8) -> np.ndarray:
    return RNG.normal(size=(n, k, d)).astype(np.float32)


def test_a_cut_keeps_the_first_and_zeroes_the_rest() -> None:
    some = plans()
    short = cut(some, 2, 5)
    assert (short[:, :2, :5] == some[:, :2, :5]).all() and not short[:, 2:].any() and not short[:, :, 5:].any()
    assert (cut(some, 3, 8) == some).all()
    for wrong in ((4, 8), (0, 8), (3, 9), (3, 0)):
        with pytest.raises(ValueError, match="3 x 8"):
            cut(some, *wrong)


@pytest.mark.parametrize("codec", [*all_codecs(3, 8)[:40], Codec("int4", 2, 4, components=3)], ids=lambda c: c.name)
def test_what_arrives_is_what_the_message_says(codec) -> None:
    train, some = plans(), plans(20)
    coder = PlanCoder(codec, train)
    symbols = coder.symbols(some)
    if coder.cumulative is not None:
        lists = coder.cumulative.tolist()
        messages = [coding.encode(row, lists) for row in symbols.tolist()]
        assert [len(m) for m in messages] == coder.coded_bytes(symbols).tolist()
        assert [coding.decode(m, lists) for m in messages] == symbols.tolist()
    arrived = coder.plans(symbols)
    assert arrived.shape == some.shape and arrived.dtype == np.float32
    assert not arrived[:, codec.vectors :].any() and not arrived[:, :, codec.width :].any()
    kept = cut(some, codec.vectors, codec.width)
    assert np.square(arrived - kept).sum() < np.square(kept).sum()  # better than sending nothing


def test_sizes_by_hand() -> None:
    train = plans(2_000, 16, 256)
    sizes = {
        Codec("fp16", 16, 256): 8192,
        Codec("fp16", 1, 32): 64,
        Codec("int8", 1, 32): 32,
        Codec("int4", 1, 64): 32,
        Codec("binary", 1, 256): 32,
        Codec("fsq5", 1, 32): 10,  # 74.3 bits
        Codec("int4", 16, 256, components=16): 8,
    }
    assert {codec: PlanCoder(codec, train).fixed_bytes for codec in sizes} == sizes


def test_principal_components_find_the_few_numbers_that_vary() -> None:
    """Plans in a 3-dimensional space: 3 components carry them, 2 don't; the rest of the bits goes nowhere."""
    basis = np.linalg.qr(RNG.normal(size=(24, 3)))[0]
    train, some = (RNG.normal(size=(n, 3)) * [9, 5, 3] @ basis.T + 2 for n in (500, 50))
    train, some = (x.reshape(-1, 3, 8).astype(np.float32) for x in (train, some))

    def error(codec: Codec) -> float:
        coder = PlanCoder(codec, train)
        return float(np.square(coder.plans(coder.symbols(some)) - some).sum(axis=(1, 2)).mean())

    assert error(Codec("int8", 3, 8, components=3)) < 0.1
    assert 7 < error(Codec("int8", 3, 8, components=2)) < 12  # the variance left out: 9
    coder = PlanCoder(Codec("step", 3, 8, target=4), train)
    symbols = coder.symbols(some)
    assert np.ptp(symbols[:, :3], axis=0).min() > 2 and np.ptp(symbols[:, 3:]) <= 1
    assert 3 <= coder.coded_bytes(symbols).mean() <= 4.6


def test_one_step_spends_bits_by_variance_and_reaches_its_target() -> None:
    """Reverse water-filling: a channel gets 1/2 log2(variance / D) bits; the theory's excess is 0.25 bits a channel."""
    sigma = np.array([16.0, 8.0, 4.0, 0.01])
    train = (RNG.normal(size=(20_000, 1, 4)) * sigma).astype(np.float32)
    coder = PlanCoder(Codec("step", 1, 4, target=2), train)
    symbols = coder.symbols(train)
    assert coding.ideal_bits(symbols, coder.cumulative).mean() == pytest.approx(16, abs=0.1)
    error = float(np.square(coder.plans(symbols) - train).sum(axis=2).mean())
    water = (np.prod(sigma[:3] ** 2) / 2 ** (2 * 16)) ** (1 / 3)  # the level at 16 bits over three channels
    assert 3 * water < error < 3 * water * 2 ** (2 * 0.3)


def test_codec_lists_name_each_once_begin_with_the_whole_and_reach_32_bytes() -> None:
    for make in (some_codecs, all_codecs):
        for k, d in ((16, 256), (16, 128), (4, 32), (1, 8)):
            codecs = make(k, d)
            assert codecs[0] == Codec("fp16", k, d) and len({c.name for c in codecs}) == len(codecs)
            assert all(c.vectors <= k and c.width <= d for c in codecs)
    assert len(some_codecs(16, 256)) <= 25
    assert {(c.vectors, c.width) for c in all_codecs(16, 256)} == set(
        itertools.product((1, 2, 4, 8, 16), (32, 64, 128, 256))
    )
