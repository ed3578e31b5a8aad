"""Write the book's page on speed: python book/speed.py build/<scale>-<data>-<seed>/source

What ``make bench`` measured on the machines it was run on (benchmarks/recorded/), and what data sheets say of others.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.table import cells  # noqa: E402
from vljepa_core.describe import describe  # noqa: E402
from vljepa_core.recipes import recipe  # noqa: E402

HEAD = ("scale", "run", "what", "precision", "here", "published path", "times faster")
HEAD += ("per second", "share of peak", "peak MiB")
DEVICES = {"cpu": "On a CPU", "cuda": "On a CUDA GPU"}
INTRODUCTION = """# Speed

Speed buys seeds: what is saved on one run is spent on the next. Here this package stands beside **the published path**,
a plain twin of the study's model, training step and generation (`benchmarks/published_path.py`), on the same examples
and weights. The two take turns on one machine; a number is the median of several rounds and, in brackets, the least
and the most of them. Times are per training step of 32 examples, per 1,000 captions from pixels to text, and per
record: greedy and sampled captions of 1,000 images and everything that is computed from them. The share is of the
fastest matrix product that the same run found in the same precision. Memory is what goes beyond imports and data, for
this package | the published path.

`make bench` measures another machine, `make bench DEVICE=cuda` its GPU.
"""
NOTHING = {
    "cpu": "Not recorded yet: `make bench` measures it here.",
    "cuda": """The table is not measured: a machine with a GPU was at hand for minutes. In them the tests for a GPU
(`tests/test_cuda.py`) passed on an H200, eleven experiments went through at `smoke`, and a step of Run 2 at `paper`
took 65 ms in bf16, and 58 to 68 with six of them side by side: it waits for operators to be issued.""",
}
PREDICTION = """## What data sheets allow

A prediction: how long one training step of Run 3 at the published size takes at least, if a card
reached the peaks of its data sheet (bf16 matrix products, bytes at float32 size), and how long eager PyTorch takes to
issue the step's operators at {microseconds} microseconds each, which was measured in Run 2 on one machine with an H200
(`benchmarks/PROFILE.md`, "On a GPU"). That is the CPU's part, the same for every card; another CPU has another.
`python -m vljepa_core describe run3 --scale paper` computes it.

| card | arithmetic, ms | memory, ms | issuing, ms | waits for | source |
|---|---|---|---|---|---|
"""


def measured(device: str, folder: Path) -> list[str]:
    """The section of one kind of device: its recorded table, or that there is none."""
    lines = [f"## {DEVICES[device]}", ""]
    path = folder / f"{device}.json"
    if not path.exists():
        return [*lines, NOTHING[device], ""]
    report = json.loads(path.read_text(encoding="utf-8"))
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in report["machine"].items()), ""]
    lines += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |" for row in report["rows"]]
    of = sorted({f"{row['measured']} at commit `{row['commit']}`" for row in report["rows"]})
    busy = max(row["load"] or 0 for row in report["rows"])
    lines += ["", f"Measured {', '.join(of)}."]
    cores = report["machine"]["cores"]
    if busy > 1.5 * cores:
        lines.append(
            f"Other programs shared the machine meanwhile (up to {busy:.0f} at a time wanted its {cores} cores): times "
            "are longer than they need be, and ratios less sure, because the two ways suffer from it differently."
        )
    return [*lines, ""]


def shared(folder: Path) -> list[str]:
    """The section on two processes that share every batch; empty where nothing is recorded."""
    path = folder / "data_parallel.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))

    def said(name: str, factor: float = 1, unit: str = "", digits: int = 2) -> str:
        median, least, most = (f"{factor * found[name][key]:.{digits}f}" for key in ("median", "least", "most"))
        return f"{median}{unit} ({least} to {most})"

    seconds = {way: f"{1e3 * each['median']:.0f} ms" for way, each in found["seconds"].items()}
    return [
        "## Two processes, one batch",
        "",
        "`torchrun --nproc_per_node=2 -m vljepa_core run run2` trains data-parallel: each process takes half of every",
        f"batch, and the gradients are added up. Measured: {found['what']}, {found['rounds']} rounds, one CPU thread",
        f"for each process, on {found['machine']['processor']} with {found['machine']['cores']} cores. Two processes",
        "that have nothing to do with each other, with half a batch each, show what the second core had to give.",
        "",
        "| | |",
        "|---|---|",
        f"| one process | {seconds['alone']} |",
        f"| two processes, together | {seconds['together']} |",
        f"| two processes that share nothing | {seconds['apart']} |",
        f"| speed-up of two | {said('speedup of two processes')} |",
        f"| scaling efficiency | {said('efficiency', 100, '%', 0)} |",
        f"| speed-up if nothing were shared | {said('speedup of two that share nothing')} |",
        f"| transfer of {found['transfer bytes per step'] / 2**20:.1f} MiB of gradients | "
        f"{said('transfer seconds per step', 1e3, ' ms', 1)} |",
        "",
        f"Measured at commit `{found['commit'][:12]}`.",
        "",
    ]


def predicted() -> list[str]:
    """What data sheets allow at the published size, and what the published time means."""
    from vljepa_core.roofline import ISSUE_SECONDS

    found = describe(recipe("run3", "paper"))
    lines = PREDICTION.format(microseconds=round(ISSUE_SECONDS * 1e6)).splitlines()
    for row in found["cards"]:
        parts = " | ".join(f"{1e3 * seconds:.2f}" for seconds in row["seconds"].values())
        lines.append(f"| {row['card']} | {parts} | {row['waits_for']} | {row['source']} |")
    step = found["published_step"]
    rates = (
        f"{step['flops_per_second'] / 1e12:.1f} TFLOP/s, {step['bytes_per_second'] / 1e9:.0f} GB/s and "
        f"{step['seconds_per_operator'] * 1e6:.0f} microseconds per operator"
    )
    return [
        *lines,
        "",
        f"The study reports {1e3 * step['seconds']:.0f} ms per step, on a GPU that it doesn't name. For the operations",
        f"counted here ({found['flops_per_step'] / 1e9:,.0f} GFLOP, {found['bytes_per_step'] / 1e9:.1f} GB, "
        f"{found['operators_per_step']:,} operators) that is {rates}:",
        "far from what any of these cards is limited by, and near to what issuing operators one by one takes.",
    ]


def page(recorded: Path = ROOT / "benchmarks" / "recorded") -> str:
    """The page as Markdown."""
    lines = [line for device in DEVICES for line in measured(device, recorded)]
    return "\n".join([INTRODUCTION, *lines, *shared(recorded), *predicted()]) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "speed.md").write_text(page(), encoding="utf-8")
