"""A bench record as a table: for the terminal, and for the book."""

from __future__ import annotations

HEAD = ("scale", "run", "what", "precision", "ours", "published path", "times faster")
HEAD += ("per second", "of peak", "peak MiB")
WIDTHS = (7, 5, 27, 10, 24, 24, 21, 22, 8, 17)


def duration(seconds: float) -> str:
    """``950 us``, ``12.3 ms``, ``4.56 s``: three digits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1 or unit == "us":
            value = seconds * factor
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    raise AssertionError


def spread(found: dict[str, float], text=duration) -> str:
    """Median and, in brackets, least and most."""
    return f"{text(found['median'])} ({text(found['least'])} to {text(found['most'])})"


def cells(row: dict) -> tuple[str, ...]:
    """A row in words, in the order of ``HEAD``; a cell is empty where the row has no such number."""
    rates = memory = share = ""
    if "examples_per_second" in row:
        rates = f"{row['examples_per_second']:,.0f} ex, {row['bytes_per_second']:,.0f} B"
        share = f"{row['share_of_peak']:.0%}"
    if sizes := row.get("peak_memory_mib"):
        memory = " | ".join("not measured" if mib is None else f"{mib:,.0f}" for mib in sizes.values())
    return (
        row["scale"],
        row["experiment"],
        row["what"] + (", CPU seconds" if row.get("clock") == "cpu" else ""),
        row["precision"],
        spread(row["ours"]),
        spread(row["published"]),
        spread(row["ratio"], lambda x: f"{x:.1f}"),
        rates,
        share,
        memory,
    )


def table(rows: list[dict], head: bool = True) -> list[str]:
    """Lines for a terminal."""
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, WIDTHS, strict=True)).rstrip()
        for line in ([HEAD] if head else []) + [cells(row) for row in rows]
    ]
