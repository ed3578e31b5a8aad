"""The study's thresholds as code.

Two verdicts are kept apart. ``by_code`` applies the published thresholds to the *sampled* captions, as the
published code does. The report's own verdict reads collapse off the *greedy* captions: fewer than
``COLLAPSE_SHARE`` distinct ones (or one alone) is FAIL whatever the samples look like. (By its own code the
published Runs 2-4 are WEAK or, depending on an overlap that is not reported, PARTIAL; not FAIL.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Ours: the report says "1 unique caption" and never where collapse begins. Written before any run here.
COLLAPSE_SHARE = 0.05
# Ours, for the capacity runs of the audit; written before any of them was run.
RECITED_SHARE = 0.90  # of the greedy captions are to the letter the ones that were sent
TOLD_APART_SHARE = 0.90  # of the bits that it takes to name one of the captions measured


@dataclass(frozen=True)
class Verdict:
    """What a run is worth: the report's reading, the published code's, and why, in one sentence."""

    label: str
    by_code: str
    reason: str


def test0_verdict(accuracy: float) -> Verdict:
    """Share of exactly right captions: >80% PASS, >40% PARTIAL, >15% WEAK, else FAIL."""
    label = "PASS" if accuracy > 0.80 else "PARTIAL" if accuracy > 0.40 else "WEAK" if accuracy > 0.15 else "FAIL"
    return Verdict(label, label, f"{accuracy:.1%} of the greedy captions name shape and colour exactly")


def caption_verdict(overlap: float, match: float, sampled_unique: float, greedy_unique: float, images: int) -> Verdict:
    """Thresholds on the sampled captions, then the report's reading of the greedy ones; shares in [0, 1]."""
    if overlap > 0.30 and match > 0.30:
        by_code = "PASS"
    elif overlap > 0.15 or match > 0.15:
        by_code = "PARTIAL"
    else:
        by_code = "WEAK" if sampled_unique > 0.30 else "FAIL"
    count = round(greedy_unique * images)
    distinct = f"{count} distinct greedy caption{'' if count == 1 else 's'} for {images} images"
    if greedy_unique < COLLAPSE_SHARE or count == 1:
        return Verdict("FAIL", by_code, f"collapsed: {distinct}, {greedy_unique:.2%} (below {COLLAPSE_SHARE:.0%})")
    reason = f"not collapsed: {distinct}, {greedy_unique:.2%}"
    reason += f"; sampled captions: overlap {overlap:.1%}, content match {match:.1%}"
    return Verdict(by_code, by_code, reason)


def test3_verdict(accuracy: float, classes: int) -> Verdict:
    """Accuracy: >50% PASS; more than twice uniform chance PARTIAL; else FAIL. No look at the majority class."""
    chance = 1 / classes
    label = "PASS" if accuracy > 0.50 else "PARTIAL" if accuracy > 2 * chance else "FAIL"
    return Verdict(label, label, f"accuracy {accuracy:.1%} is {accuracy / chance:.1f}x uniform chance ({chance:.1%})")


def capacity_verdict(recited: float, infonce: float, n: int) -> str:
    """What a plan of this size was shown to carry: ``recited`` is a share, ``infonce`` bits measured on n captions."""
    ceiling = math.log2(n)
    if recited >= RECITED_SHARE:
        return f"carries whole captions: {recited:.1%} recited (at least {RECITED_SHARE:.0%})"
    if infonce >= TOLD_APART_SHARE * ceiling:
        return f"tells captions apart: {infonce / ceiling:.0%} of {ceiling:.1f} bits (at least {TOLD_APART_SHARE:.0%})"
    return f"not shown to carry them: {recited:.1%} recited, {infonce / ceiling:.0%} of {ceiling:.1f} bits"
