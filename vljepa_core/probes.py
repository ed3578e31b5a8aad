"""Does a decoder use its image? Measured on a matrix of caption log-likelihoods, in bits where possible.

``scores[i, j]`` is log p(caption i | image j) in nats, caption i being one of image i: (N, N), floats.

A matrix that ignores the image scores exactly chance: gap and InfoNCE 0 bits, recall at k k/N, median rank
(N + 1)/2. Ties are what makes this exact: among equal scores every order is equally likely.

Intervals are 95%, from half-samples: the images are drawn half at a time without repeats, rows and columns
together, and the spread of a statistic over halves is its standard error on the whole (delete-half jackknife;
Shao and Wu, Annals of Statistics 1989). They cover the draw of the images, as the captions' and as each other's
distractors; not another training seed, and not another number of candidates. A plain bootstrap repeats images, and a
repeated image ties with itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vljepa_core.metrics import Metric

HALVES = 200
FITTED_ON = 0.25  # share of the images on which InfoNCE's temperature is fitted, and which are then not measured
MOST = 0.5  # of the captions that InfoNCE's temperature is fitted on: beyond it they are told apart among all images
TIE = 1e-4  # nats: float32 sums over a caption differ by less than this for one and the same image
# Inverse temperatures tried; 0 is a critic that says nothing, so that noise is measured as 0 bits.
INVERSE_TEMPERATURES = (0.0, *np.geomspace(1e-3, 10.0, 41))
_Z = 1.959964


def probe(scores: np.ndarray, seed: int = 0) -> dict[str, Metric]:
    """All probes of a matrix (N, N) of log p(caption i | image j) in nats.

    - ``shuffle_gap``: bits per caption that another image's plan costs.
    - ``image_r1``, ``image_r5``, ``image_median_rank``: caption to image, see ``retrieval``.
    - ``caption_r1``, ``caption_r5``, ``caption_median_rank``: image to caption, the caption's prior subtracted.
    - ``infonce``: lower bound on I(plan; caption) in bits.

    Raises:
        ValueError: not a square matrix of at least 8 finite log-likelihoods a side.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < 8:
        raise ValueError(f"scores of shape {scores.shape}: expected captions x images, (N, N) with N at least 8")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity: expected log-likelihoods in nats (clip log 0 to -10000)")
    found = {"shuffle_gap": shuffle_gap(scores, seed)}
    found |= {f"image_{name}": m for name, m in retrieval(scores, seed).items()}
    found |= {f"caption_{name}": m for name, m in retrieval(without_prior(scores).T, seed).items()}
    found["infonce"] = infonce(scores, seed)
    return found


def chance(n: int) -> dict[str, float]:
    """What a matrix (n, n) that ignores the image scores on every probe."""
    ranks = {"r1": 1 / n, "r5": min(5 / n, 1.0), "median_rank": (n + 1) / 2}
    both = {f"{way}_{name}": value for way in ("image", "caption") for name, value in ranks.items()}
    return {"shuffle_gap": 0.0, **both, "infonce": 0.0}


def shuffle_gap(scores: np.ndarray, seed: int = 0) -> Metric:
    """Mean over captions of log p with their own image minus with another one, bits per caption.

    It flatters a decoder that over-trusts its plan (being surely wrong costs much), so it is no measure of
    information: ``infonce`` is.
    """
    bits_short = (np.diagonal(scores)[:, None] - scores.astype(np.float64)) / np.log(2)  # 0 on the diagonal

    def gap(halves: np.ndarray) -> np.ndarray:
        m = halves.sum(axis=0)
        return ((bits_short @ halves) * halves).sum(axis=0)[None] / (m * (m - 1))

    return _measured(gap, len(scores), seed)[0]


def without_prior(scores: np.ndarray) -> np.ndarray:
    """log p(caption i | image j) - log p(caption i): what image j adds to the caption, nats (N, N).

    The prior is the model's own: p(caption i) is the mean of p(caption i | image j) over the images, hence along
    axis 1. It must go before *captions* are ranked for an image, or a short, common caption wins for every image.
    When *images* are ranked for a caption it is the same for all of them, and the images' prior is uniform.
    """
    scores = np.asarray(scores, dtype=np.float64)
    top = scores.max(axis=1, keepdims=True)
    return scores - top - np.log(np.exp(scores - top).mean(axis=1, keepdims=True))


def retrieval(scores: np.ndarray, seed: int = 0) -> dict[str, Metric]:
    """Rank, for each row, of its own column among all columns: ``r1``, ``r5`` (recall) and ``median_rank``.

    Ties count as chance: a recall is the chance that a random order of the tied ones puts the own one in, a rank is
    the mean over these orders. A recall's interval is at least Wilson's, which holds where there is no hit at all.
    """
    n = len(scores)
    better, tied = _better_and_tied(scores)

    def recalls_and_rank(halves: np.ndarray) -> np.ndarray:
        m = halves.sum(axis=0)
        # Whole numbers, exact in float32; what is divided by them is not.
        ahead, level = ((counted @ halves).astype(np.float64) for counted in (better, tied))
        recalls = [(_recall(k, ahead, level) * halves).sum(axis=0) / m for k in (1, 5)]
        # Among m images ranks are m/n as large: put on the scale of n.
        rank = np.where(halves > 0, (ahead + 0.5 + level / 2) / m * n + 0.5, np.nan)
        return np.stack([*recalls, np.nanmedian(rank, axis=0)])

    r1, r5, rank = _measured(recalls_and_rank, n, seed)
    rank = Metric(rank.value, max(rank.low, 1.0), min(rank.high, float(n)), n)
    return {"r1": _at_least_wilson(r1), "r5": _at_least_wilson(r5), "median_rank": rank}


def recall_curve(scores: np.ndarray) -> np.ndarray:
    """Recall at 1, 2, ... N of each row's own column, float64 (N,); ties count as chance."""
    better, tied = _better_and_tied(scores)
    ahead, level = (counted.sum(axis=1, dtype=np.float64) for counted in (better, tied))
    return np.array([_recall(k, ahead, level).mean() for k in range(1, len(scores) + 1)])


def infonce(scores: np.ndarray, seed: int = 0) -> Metric:
    """InfoNCE lower bound on I(plan; caption), bits: how well the images are told apart by their captions.

    ``mean_i log( exp(b s[i, i]) / mean_j exp(b s[i, j]) )`` (van den Oord et al. 2018), at most log2 of the images it
    is measured on (the metric's ``n``). The inverse temperature b is fitted on ``FITTED_ON`` of the images; the
    others are measured.
    """
    rest, b = measured_part(scores, seed)
    return _measured(lambda halves: _infonce(rest, b, halves), len(rest), seed)[0]


def measured_part(scores: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """The scores of the images that ``infonce`` measures, (n, n), and the inverse temperature fitted on the others.

    Captions that are all told apart ask for an ever larger one, and the first that is not then costs without limit.
    So where more than ``MOST`` of the fitted ones find their own image among the fitted, they are to find it among all
    images instead, which is a little harder than what is measured; no caption that is measured is looked at.
    """
    scores = np.asarray(scores)
    order = np.random.default_rng(seed).permutation(len(scores))
    cut = max(2, round(FITTED_ON * len(scores)))
    fitted, rest = order[:cut], order[cut:]
    fit = scores[np.ix_(fitted, fitted)]
    ahead, level = (counted.sum(axis=1) for counted in _better_and_tied(fit))
    if _recall(1, ahead, level).mean() > MOST:
        fit = scores[np.ix_(fitted, order)]
    whole = np.ones((fit.shape[1], 1))
    b = max(INVERSE_TEMPERATURES, key=lambda b: _infonce(fit, b, whole)[0, 0])
    return scores[np.ix_(rest, rest)], b


def wilson(successes: float, n: int, z: float = _Z) -> tuple[float, float]:
    """Wilson's 95% interval of a share (Wilson, JASA 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    p, shrink = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half = z / shrink * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _infonce(scores: np.ndarray, b: float, halves: np.ndarray) -> np.ndarray:
    """The bound in bits on each subset of the images, (1, subsets); row i is a caption of the image of column i."""
    top = scores.max(axis=1, keepdims=True)
    m = halves.sum(axis=0)
    relative = b * (scores - top).astype(np.float64)
    own = np.diagonal(relative)[:, None]
    others = np.log(np.maximum(np.exp(relative) @ halves, 1e-300) / m)
    bits = np.minimum(own - others, np.log(m)) / np.log(2)  # the minimum: where exp has underflowed
    captions = halves[: len(scores)]
    return (bits * captions).sum(axis=0)[None] / captions.sum(axis=0)


def _better_and_tied(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which columns score better than a row's own, and which as well (not itself): float32 0/1, (N, N)."""
    own = np.diagonal(scores)[:, None]
    tied = np.abs(scores - own) <= TIE
    np.fill_diagonal(tied, False)
    return (scores > own + TIE).astype(np.float32), tied.astype(np.float32)


def _recall(k: int, ahead: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Chance of being among the first k with ``ahead`` before it and ``level`` others in random order with it."""
    return np.clip((k - ahead) / (level + 1), 0.0, 1.0)


def _measured(statistic: Callable[[np.ndarray], np.ndarray], n: int, seed: int) -> list[Metric]:
    """Values on all n images, with intervals from halves.

    ``statistic`` takes subsets as columns of 0 and 1, (n, subsets), and returns (statistics, subsets).
    """
    rng = np.random.default_rng(seed)
    m = n // 2
    halves = np.zeros((n, HALVES), dtype=np.float32)
    for column in halves.T:
        column[rng.permutation(n)[:m]] = 1
    values = statistic(np.ones((n, 1), dtype=np.float32))[:, 0]
    errors = statistic(halves).std(axis=1) * np.sqrt(m / (n - m))
    return [Metric(float(v), float(v - _Z * e), float(v + _Z * e), n) for v, e in zip(values, errors, strict=True)]


def _at_least_wilson(recall: Metric) -> Metric:
    low, high = wilson(recall.value * recall.n, recall.n)
    return Metric(recall.value, max(0.0, min(low, recall.low)), min(1.0, max(high, recall.high)), recall.n)
