"""The chapter "How few bytes": its table and its verdict, from rate curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import setting
from vljepa_core.figures.tables import NOT_APPLICABLE, html_table
from vljepa_core.figures.units import number, said_bytes
from vljepa_core.rate_record import GOAL_BYTES, KEPT, RateCurve, keeps, smallest


def rate_table(curve: RateCurve) -> Display:
    """Every row of a curve, by bytes, with what it keeps of the whole plan's bits and CIDEr."""
    measured = sorted(curve.measured(), key=lambda row: row["bytes"])
    rows = [
        [
            escape(row["name"]),
            f"{said_bytes(row['bytes'])}<small>{_counted(row)}</small>",
            _with_interval("infonce", row["infonce"]) + _kept(row["bits_kept"]),
            _with_interval("image_r1", row["image_r1"]),
            _with_interval("greedy_cider", row["cider"]) + _kept(row["cider_kept"]),
            number("greedy_unique", row["unique"]),
            NOT_APPLICABLE if row["bits_kept"] is None else "yes" if keeps(row) else "no",
        ]
        for row in measured
    ]
    for row in curve.rows:
        if "infonce" not in row:
            said = f"not to be had: all images need {row['smallest_bytes']:,} bytes"
            rows.append([escape(row["name"]), f'<span class="none">{said}</span>', "", "", "", "", ""])
    head = ["what is sent", "bytes an image", "InfoNCE, bits", "R@1", "CIDEr, greedy", "unique captions",
            f"keeps {KEPT:.0%} of both"]  # fmt: skip
    chance = number("image_r1", 1 / curve.scored)
    measured = max(row["infonce"]["n"] for row in curve.rows if "infonce" in row)
    return html_table(
        f"Bytes and what arrives ({setting(curve)}): R@1 on {curve.scored:,} validation images (chance: {chance}), "
        f"bits on {measured:,} of them (chance: 0; the others fitted the temperature), CIDEr on {curve.captioned:,}. "
        f"Small: 95% intervals, and shares of what the whole plan of {curve.plan_bytes:,} bytes delivers, paired over "
        "images.",
        head,
        rows,
    )


def rate_verdict(curve: RateCurve) -> Display:
    """Are 32 bytes enough? Threshold written before the runs: 90% of the bits and of the CIDEr of the whole plan."""
    label, said = conclusion(curve)
    said = f"{said} ({setting(curve)})"
    return Display(f'<div class="vljepa"><strong>{escape(label)}</strong>: {escape(said)}.</div>', f"{label}: {said}.")


def conclusion(curve: RateCurve) -> tuple[str, str]:
    """The verdict's label and reason."""
    plans, images = curve.measured("plan"), curve.measured("image")
    if not plans:
        return "OPEN", "no codec has been measured"
    if plans[0]["bits_kept"] is None or plans[0]["cider_kept"] is None:
        lacking = "infonce" if plans[0]["bits_kept"] is None else "cider"
        said = _plain(lacking, plans[0][lacking]) + (" bits" if lacking == "infonce" else " CIDEr")
        return "NOTHING TO KEEP", f"the whole plan of {curve.plan_bytes:,} bytes delivers {said}"
    best, picture = smallest(curve, "plan"), smallest(curve, "image")
    if best is None:
        return "OPEN", f"none of the {len(plans)} codecs keeps {KEPT:.0%} of both"
    label = f"{GOAL_BYTES} BYTES ARE ENOUGH" if best["bytes"] <= GOAL_BYTES else f"{GOAL_BYTES} BYTES ARE NOT SHOWN"
    said = (
        f"the smallest of {len(plans)} codecs that keeps {KEPT:.0%} of bits and CIDEr takes "
        f"{said_bytes(best['bytes'])} bytes ({best['name']}): {_share(best['bits_kept'])} of "
        f"{_plain('infonce', plans[0]['infonce'])} bits, {_share(best['cider_kept'])} of CIDEr "
        f"{_plain('cider', plans[0]['cider'])}; it was chosen on the images it is judged on"
    )
    if picture is not None:
        said += f"; as a picture it takes {said_bytes(picture['bytes'])} bytes ({picture['name']})"
    elif images:
        said += (
            f"; none of {len(images)} compressed pictures does, up to {max(r['most_bytes'] for r in images):,} bytes"
        )
    for text in curve.measured("text"):
        said += (
            f"; its caption, sent as text, takes {said_bytes(text['bytes'])} bytes: {_share(text['bits_kept'])} of "
            "the bits as word overlap tells them and all of CIDEr"
        )
    return label, said


def one_line(row: dict[str, Any]) -> str:
    """A row for a terminal."""
    kept = ", ".join(
        f"{name} {_share(row[key])}" for name, key in (("bits", "bits_kept"), ("CIDEr", "cider_kept")) if row[key]
    )
    return (
        f"{said_bytes(row['bytes']):>9} bytes  {_plain('infonce', row['infonce']):>24} bits  CIDEr "
        f"{_plain('cider', row['cider']):22}  {row['name']}" + (f"  keeps {kept}" if kept else "")
    )


def one_below_another(displays: Iterable[Display]) -> Display:
    """Several displays, one for each recorded curve; says how to make a curve where there is none."""
    displays = list(displays)
    if not displays:
        said = "No curve has been recorded yet: python -m vljepa_core rate EXPERIMENT --keep makes one."
        return Display(f'<div class="vljepa">{escape(said)}</div>', said)
    return Display("".join(each.html for each in displays), " ".join(each.alt for each in displays))


def _counted(row: dict[str, Any]) -> str:
    if row["coded_bytes"] is None:
        return "every image"
    if row["fixed_bytes"] is None:
        return f"mean; at most {row['most_bytes']:,}"
    if row["coded_bytes"] < row["fixed_bytes"]:
        return f"coded, mean; at most {row['most_bytes']:,}; {row['fixed_bytes']:,} uncoded"
    return f"uncoded; coding makes it {said_bytes(row['coded_bytes'])}"


def _with_interval(name: str, found: dict[str, float]) -> str:
    return f"{number(name, found['value'])}<small>[{number(name, found['low'])}, {number(name, found['high'])}]</small>"


def _plain(name: str, found: dict[str, float]) -> str:
    return f"{number(name, found['value'])} [{number(name, found['low'])}, {number(name, found['high'])}]"


def _kept(share: dict[str, float] | None) -> str:
    return "" if share is None else f"<small>{_share(share)} of the whole plan's</small>"


def _share(share: dict[str, float]) -> str:
    return f"{share['value']:.0%} [{share['low']:.0%}, {share['high']:.0%}]"
