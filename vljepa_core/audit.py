"""Does a captioner look at its images? An audit of any captioner's output, ending in a verdict.

It needs the captions it wrote and the captions humans wrote; with a matrix of log-likelihoods it also says how many
bits of the image reach the words. No model is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_core import metrics, probes
from vljepa_core.audit_files import check_scores
from vljepa_core.baselines import blind_memoriser, constant_caption, hold_out, score, smoothing_floor
from vljepa_core.metrics import Metric, mean_metric, others, tokenise
from vljepa_core.verdicts import COLLAPSE_SHARE

# The verdict's thresholds, written before any audit. COLLAPSE_SHARE (5%): fewer distinct captions than that share of
# the distinct ones humans wrote for the same images is a collapse.
TOP_SHARE = 0.5  # one caption for this share of the images is a collapse, where no human caption has half of it
MARGIN = 0.1  # of what a human caption gains by belonging to its image: less is next to nothing
MARGIN_CIDER = 0.1  # instead of it, where no human caption could be held out
VERBATIM_SHARE = 0.5  # of captions copied from training; said beside the verdict, where humans repeat under half of it

MOST_SCORED = 5_000  # images; CIDEr, Bleu and the probes take a random draw of more
CUT = 128  # ids per caption of the blind memoriser, as in the study
SMOOTHING = 0.1


@dataclass(frozen=True)
class AuditVerdict:
    """One of ``judge``'s five labels, and why, in a few sentences."""

    label: str
    reason: str


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        images: predictions audited.
        answers: answer -> cider, bleu4, overlap, content_match. "own", "permuted" (the predictions of other images),
            "constant", "chance" (a human caption of another image) and, where one could be held out, "human".
        gain: CIDEr of a prediction with its own image minus with another, paired over images.
        human_gain: the same of a held-out human caption; None unless every image has two or more.
        constant: the constant caption.
        variety: "own" and "human" -> distinct, top_caption, distinct_1, distinct_2 and, with training captions,
            verbatim.
        repeats: "own" and "human" -> how many images share each caption, largest first.
        top: the most frequent predictions and their counts.
        blind: bits per caption and nats per byte of the blind memoriser, and the smoothing floor.
        probes: see ``probes.probe``; None without scores.
        recall: "caption to image", "image to caption" -> recall at 1, 2, ... of the probed images.
        verdict: label and reason.
    """

    images: int
    answers: dict[str, dict[str, Metric]]
    gain: Metric
    human_gain: Metric | None
    constant: str
    variety: dict[str, dict[str, Metric]]
    repeats: dict[str, list[int]]
    top: list[tuple[str, int]]
    blind: dict[str, float]
    probes: dict[str, Metric] | None
    recall: dict[str, np.ndarray]
    verdict: AuditVerdict


def audit(
    predictions: Mapping[int | str, str],
    references: Mapping[int | str, Sequence[str]],
    train: Sequence[str] | None = None,
    scores: np.ndarray | None = None,
    scores_name: str = "scores",
) -> Audit:
    """Audit one caption per image.

    Args:
        predictions: image id -> generated caption, at least two.
        references: image id -> human captions, at least one for each image in ``predictions``.
        train: the captions the captioner was trained on.
        scores: (M, M) log p(caption i | image j) in nats, of the first M predictions, in their order.
        scores_name: what errors call the scores.

    Raises:
        DataError: scores that are not finite or positive.
    """
    ids = list(predictions)
    drawn = [ids[i] for i in _draw(len(ids))]
    kept, human = hold_out([references[i] for i in drawn])
    own = [predictions[i] for i in drawn]
    other = others(len(drawn))
    pool = train or [c for i in ids for c in references[i]]
    constant = constant_caption(kept, pool)

    scored = {
        "own": score(kept, own),
        "permuted": score(kept, [own[i] for i in other]),
        "constant": score(kept, [constant] * len(own)),
        "chance": score(kept, [kept[i][0] for i in other]),
    }
    human_gain = None
    if all(human):
        scored["human"] = score(kept, human)
        human_gain = mean_metric(scored["human"].cider - score(kept, [human[i] for i in other]).cider)
    answers = {name: each.metrics() for name, each in scored.items()}
    gain = mean_metric(scored["own"].cider - scored["permuted"].cider)

    written = list(predictions.values())
    spoken = [references[i][-1] for i in ids]
    known = {tokenise(c) for c in train} if train else None
    counts = {"own": Counter(written), "human": Counter(spoken)}
    measured, recall = None, {}
    if scores is not None:
        rows = _draw(len(scores))
        part = np.array(scores[rows][:, rows])
        check_scores(part, rows, scores_name)
        measured = probes.probe(part)
        recall = {
            "caption to image": probes.recall_curve(part),
            "image to caption": probes.recall_curve(probes.without_prior(part).T),
        }
    variety = {
        who: {"distinct": metrics.unique_share(said), **metrics.variety(said, known)}
        for who, said in (("own", written), ("human", spoken))
    }
    top = counts["own"].most_common(10)
    return Audit(
        images=len(ids),
        answers=answers,
        gain=gain,
        human_gain=human_gain,
        constant=constant,
        variety=variety,
        repeats={name: sorted(c.values(), reverse=True) for name, c in counts.items()},
        top=top,
        blind={
            "bits per caption": _entropy(pool) / np.log(2),
            "nats per byte": blind_memoriser(pool, CUT),
            "smoothed": blind_memoriser(pool, CUT, SMOOTHING),
            "floor": smoothing_floor(SMOOTHING),
        },
        probes=measured,
        recall=recall,
        verdict=judge(answers, gain, human_gain, variety, top[0][0], measured),
    )


def judge(
    answers: Mapping[str, Mapping[str, Metric]],
    gain: Metric,
    human_gain: Metric | None,
    variety: Mapping[str, Mapping[str, Metric]],
    top_caption: str,
    measured: Mapping[str, Metric] | None,
) -> AuditVerdict:
    """The verdict, by the first of these rules that holds; arguments as in ``Audit``.

    1. collapsed: one caption for at least ``TOP_SHARE`` of the images (and no human caption for half as many), or for
       all of them (and no human caption is), or fewer distinct captions than ``COLLAPSE_SHARE`` of the humans'.
    2. cannot tell: what humans gain (CIDEr with their own image minus with another) may be 0: the captions file is
       not of these images, or there are too few of them.
    With g the CIDEr that predictions gain, its 95% interval [low, high], and m = ``MARGIN`` of what humans gain
    (``MARGIN_CIDER`` where that is unknown):
    3. uses the image: low > 0 and g >= m.
    4. barely uses the image: low > 0 and g < m.
    5. varied but unrelated to the image: low <= 0 and high < m.
    6. cannot tell: low <= 0 and high >= m: too few images.
    """
    own, human = variety["own"], variety["human"]
    cider = {name: a["cider"].value for name, a in answers.items()}
    margin = MARGIN_CIDER if human_gain is None else MARGIN * human_gain.value
    against = f"CIDEr {cider['own']:.3f} with its own image, {cider['permuted']:.3f} with another one"
    between = f"a difference of {gain.value:.3f} [{gain.low:.3f}, {gain.high:.3f}]"
    yardstick = f"{margin:.3f}" + ("" if human_gain is None else f", {MARGIN:.0%} of what a human caption gains")
    top, humans_top = own["top_caption"].value, human["top_caption"].value
    one_caption = top >= TOP_SHARE and humans_top < top / 2 or top == 1 > humans_top
    if one_caption or own["distinct"].value < COLLAPSE_SHARE * human["distinct"].value:
        label = "collapsed"
        if one_caption:
            reason = f"one sentence for {_percent(top)} of images, “{top_caption}”"
        else:
            n = own["distinct"].n
            wrote = [round(v["distinct"].value * n) for v in (own, human)]
            reason = f"{wrote[0]:,} distinct captions for {n:,} images, where humans wrote {wrote[1]:,}"
        follows = "what varies does follow the image" if gain.low > 0 else "the permuted control scores the same"
        reason += f"; {follows}: {against}"
    elif human_gain is not None and human_gain.low <= 0:
        label = "cannot tell"
        reason = (
            "the human captions do not fit their own images better than others, by CIDEr "
            f"{human_gain.value:.3f} [{human_gain.low:.3f}, {human_gain.high:.3f}]: check that the captions file is of "
            f"these images, or audit more than {human_gain.n:,}"
        )
    elif gain.low > 0 and gain.value >= margin:
        label, reason = "uses the image", f"{against}; {between}"
        if human_gain is not None:
            reason += f", {_percent(gain.value / human_gain.value)} of what a human caption gains"
    elif gain.low > 0:
        label, reason = "barely uses the image", f"{against}; {between}, below {yardstick}"
    elif gain.high < margin:
        label = "varied but unrelated to the image"
        reason = f"the permuted control scores the same: {against}; {between}, below {yardstick}"
    else:
        label = "cannot tell"
        reason = f"{gain.n:,} images are too few: {against}; {between}; to be told apart are 0 and {yardstick}"
    return AuditVerdict(label, ". ".join([reason, *_remarks(cider, variety, measured)]) + ".")


def _remarks(
    cider: Mapping[str, float],
    variety: Mapping[str, Mapping[str, Metric]],
    measured: Mapping[str, Metric] | None,
) -> list[str]:
    """What a reader must know beside the verdict."""
    said = []
    if cider["own"] < cider["constant"]:
        said.append(f"One constant caption scores more: CIDEr {cider['constant']:.3f}")
    copied = {name: v["verbatim"].value for name, v in variety.items() if "verbatim" in v}
    if copied and copied["own"] >= VERBATIM_SHARE and copied["human"] < copied["own"] / 2:
        said.append(
            f"{_percent(copied['own'])} of its captions are training captions, word for word "
            f"(humans: {_percent(copied['human'])})"
        )
    if measured:
        bits, r1 = measured["infonce"], measured["image_r1"]
        most = np.log2(bits.n)
        if bits.low > 0:
            said.append(
                f"Its likelihoods carry at least {bits.value:.2f} bits [{bits.low:.2f}, {bits.high:.2f}] of the image "
                f"(no more than {most:.1f} can show on {bits.n:,} images); a caption finds its image first in "
                f"{_percent(r1.value)}, by chance in {_percent(1 / r1.n)}"
            )
        else:
            said.append(f"Its likelihoods carry no bits of the image that {bits.n:,} images can show")
    return said


def _draw(n: int) -> np.ndarray:
    """All of n, or a random ``MOST_SCORED`` of them, in order."""
    return np.sort(np.random.default_rng(0).permutation(n)[:MOST_SCORED])


def _entropy(captions: Sequence[str]) -> float:
    """Nats it takes to name one of these captions."""
    p = np.array(list(Counter(captions).values())) / len(captions)
    return float(-(p * np.log(p)).sum())


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"
