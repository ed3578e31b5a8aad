"""``make bench``: this package beside the published path, in one run; prints a table, keeps it as JSON.

    python benchmarks/bench.py [--only train generate evaluate] [--scale laptop paper] [--runs run2 run3 run4]
                               [--precision float32 bfloat16 "bfloat16 compiled"] [--device cpu|cuda] [--rounds 5]
                               [--quick] [--keep]

Ours, in float32 and in bfloat16, and the published path (``published_path.py``), which is float32 throughout, take
turns, round after round, on the same examples and weights; a ratio is taken within a round, and stands with its least
and most. What is measured:

- train: seconds per optimiser step; examples and caption bytes per second; share of the matrix-multiply peak that
  the same run measures in the same precision; peak memory beyond imports and data, each in a process of its own.
- generate: captions of 1,000 images from pixels to text, greedy and sampled.
- evaluate: a whole record's evaluation of 1,000 images, always in float32. The published path writes the greedy and the
  sampled captions and computes the study's four metrics; ours adds validation loss, CIDEr, Bleu, intervals and probes.

The published path decodes batches that do not depend on each other, so it is timed on one of them and scaled to 1,000
captions; the record says how many it wrote. At laptop scale the model is trained for a moment first, so that captions
come to an end; at paper scale most run to the limit of 80 bytes. On a GPU every clock waits for the device.
Rows of an earlier run on the same machine stay in the file until they are measured again.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks import published_path  # noqa: E402
from benchmarks.table import table  # noqa: E402
from benchmarks.timing import Spread, interleaved, load, machine, matmul_peak, memory_now, wait  # noqa: E402
from vljepa_core import provenance, runs  # noqa: E402
from vljepa_core.evaluate import evaluate  # noqa: E402
from vljepa_core.files import write_atomically  # noqa: E402
from vljepa_core.generate import generate  # noqa: E402
from vljepa_core.metrics import content_match, unique_share, unique_words, word_overlap  # noqa: E402
from vljepa_core.recipes import recipe  # noqa: E402
from vljepa_core.resident import EVAL_BATCH  # noqa: E402
from vljepa_core.train import Trainer, autocast, choose_device, cpu_multiplies_in_bfloat16, epoch_order  # noqa: E402

PARTS = ("train", "generate", "evaluate")
RUNS = ("run2", "run3", "run4")
SCALES = ("laptop", "paper", "smoke")
RECORDED = REPOSITORY / "benchmarks" / "recorded"
PRECISIONS = ("float32", "bfloat16")
COMPILED = " compiled"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "bfloat16" + COMPILED: torch.bfloat16}
IMAGES = 1_000


class Case:
    """One run at one scale: ours in each precision, and the examples that the published path is given as well."""

    def __init__(
        self, experiment: str, scale: str, device: torch.device, images: int, precisions: list[str], clock: str = "wall"
    ) -> None:
        self.runs = {precision: prepare(experiment, scale, images, precision) for precision in precisions}
        self.trainers = {precision: new_trainer(run, device) for precision, run in self.runs.items()}
        self.run, self.trainer = next(iter(self.runs.values())), next(iter(self.trainers.values()))
        self.recipe, self.device, self.clock = self.run.recipe, device, clock
        self.eager = [precision for precision in precisions if not precision.endswith(COMPILED)]  # steps alone compile
        train = self.run.examples["train"]
        self.samples = [(image, text, 0) for image, text in zip(train.images, train.texts, strict=True)]

    def train(self, steps: int, precision: str | None = None) -> None:
        trainer = self.trainers[precision or next(iter(self.trainers))]
        for _ in range(steps):
            trainer.step()

    def same_weights(self) -> None:
        """Give all the weights of the first, which alone was trained so far."""
        for trainer in self.trainers.values():
            trainer.model.load_state_dict(self.trainer.model.state_dict())
            trainer.progress = copy.deepcopy(self.trainer.progress)

    def twin(self) -> published_path.PublishedVLJEPA:
        """The published path with the weights that ours has now."""
        return published_path.twin_of(self.trainer.model, self.recipe)

    def coming(self, steps: int) -> list[np.ndarray]:
        """Rows of the batches that ours will take next."""
        p, n, size = self.trainer.progress, len(self.samples), self.recipe.batch_size
        starts = [p.epoch * n + p.position + size * i for i in range(steps)]  # n is a multiple of the batch size
        return [epoch_order(n, self.trainer.seed, start // n)[start % n :][:size] for start in starts]

    def write(self, precision: str, temperature: float) -> list[str]:
        """Our captions of all validation images, from pixels to text."""
        images, model = self.run.examples["val"].images, self.trainers[precision].model
        model.eval()
        with torch.no_grad(), autocast(self.runs[precision].recipe, self.device):
            parts = (torch.from_numpy(images[i : i + EVAL_BATCH]) for i in range(0, len(images), EVAL_BATCH))
            plans = torch.cat([model.plan(part.to(self.device)) for part in parts])
            draws = torch.Generator().manual_seed(0)
            captions = generate(model.decoder, plans, self.recipe.max_new_tokens, temperature, draws)
        model.train()
        return captions

    def judge(self) -> None:
        """Our evaluation of a record: in float32, in whatever the model was trained."""
        evaluate(self.trainer.model, self.recipe, self.run.examples, self.run.dataset.categories, 0)


def prepare(experiment: str, scale: str, images: int, precision: str) -> runs.Prepared:
    """Generated scenes: captions as long as COCO's, and no download. A step costs what it does on any data; what is
    changed of the recipe keeps validation and warm-up out of the timed steps."""
    train = images - images % recipe(experiment, scale).batch_size
    changes = dict(n_train=train, n_val=images, epochs=1_000, warmup_epochs=0, validate_every=1_000)
    changes |= dict(precision=precision.removesuffix(COMPILED), compile=precision.endswith(COMPILED))
    return runs.prepare(experiment, scale, "scenes", **changes)


def new_trainer(run: runs.Prepared, device: torch.device) -> Trainer:
    """A trainer whose next step is a step and nothing else: the first of a run, and every step whose number is a
    power of 2, also look at the model."""
    trainer = Trainer(run.recipe, run.examples, 0, device)
    trainer.progress.step = 2**40 + 1
    return trainer


def rows_of(case: Case, part: str, what: str, found: dict[str, list[float]], per: float, published_per: float):
    """A table row for each precision, from the seconds of every round; ``per`` is what they are divided by."""
    published = [s / published_per for s in found["published"]]
    made = []
    for precision in (name for name in found if name != "published"):
        ours = [s / per for s in found[precision]]
        made.append(
            {
                "part": part,
                "scale": case.recipe.scale,
                "experiment": case.recipe.experiment,
                "what": what,
                "precision": precision,
                "ours": Spread.of(ours).to_dict(),
                "published": Spread.of(published).to_dict(),
                "ratio": Spread.of([p / o for p, o in zip(published, ours, strict=True)]).to_dict(),
                "rounds": len(ours),
                "clock": case.clock,
                "load": load(),
            }
        )
    return made


def counted_flops(case: Case, precision: str, steps: int) -> float:
    """FLOPs of matrix products and convolutions in one of our steps, forward and backward, as they are carried out:
    PyTorch's own count of real steps. Attention is computed unfused meanwhile, because the counter does not know
    every fused kernel; what such a kernel computes a second time in its backward pass does not count."""
    with (
        torch.compiler.set_stance("force_eager"),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        case.train(steps, precision)
    return counter.get_total_flops() / steps


def time_training(case: Case, rounds: int, steps: int, peaks: dict[str, float]) -> list[dict]:
    """Seconds per step, and what follows from them."""
    twin = case.twin()
    optimiser = published_path.optimiser_of(twin)

    def published(batches: list[np.ndarray]) -> None:
        for index in batches:
            published_path.train_step(twin, optimiser, [case.samples[i] for i in index])

    published(case.coming(2))
    for precision in case.trainers:
        case.train(2, precision)
    batches = case.coming(rounds * steps)
    turns = iter([batches[i : i + steps] for i in range(0, len(batches), steps)])
    ways = {precision: lambda p=precision: case.train(steps, p) for precision in case.trainers}
    found = interleaved({**ways, "published": lambda: published(next(turns))}, rounds, case.device, case.clock)
    made = rows_of(case, "train", "training step", found, steps, steps)
    lengths = case.trainer.train_data.lengths - 1  # ids to predict: bytes, and EOS
    for each in made:
        step, peak = each["ours"]["median"], peaks[each["precision"]]
        each["flops_per_step"] = counted_flops(case, each["precision"], steps)
        each["examples_per_second"] = case.recipe.batch_size / step
        each["bytes_per_second"] = float(np.mean([lengths[index].sum() for index in batches])) / step
        each["peak_flops_per_second"] = peak
        each["share_of_peak"] = each["flops_per_step"] / step / peak
    return made


def time_generation(case: Case, rounds: int, timed: int) -> list[dict]:
    """Seconds for as many captions as there are validation images."""
    images, twin = case.run.examples["val"].images, case.twin()
    made = []
    for name, temperature in (("greedy", 0.0), ("sampled", case.recipe.temperature)):
        ways = {precision: lambda p=precision, t=temperature: case.write(p, t) for precision in case.eager}
        ways["published"] = lambda t=temperature: published_path.generate(twin, images[:timed], t)
        found = interleaved(ways, rounds, case.device, case.clock)
        new = rows_of(case, "generate", f"{len(images):,} captions, {name}", found, 1, timed / len(images))
        for each in new:
            each["published_captions_timed"] = timed
        made += new
    return made


def time_evaluation(case: Case, rounds: int, timed: int) -> list[dict]:
    """Seconds to judge a model on its validation images."""
    validation, twin = case.run.examples["val"], case.twin()

    def published() -> None:
        for temperature in (0.0, case.recipe.temperature):
            captions = published_path.generate(twin, validation.images[:timed], temperature)
            pairs = list(zip(validation.texts[:timed], captions, strict=True))
            _ = unique_share(captions), unique_words(captions)
            _ = [(word_overlap(r, c), content_match(r, c)) for r, c in pairs]

    found = interleaved({"float32": case.judge, "published": published}, rounds, case.device, case.clock)
    made = rows_of(case, "evaluate", f"one record, {len(validation):,} images", found, 1, timed / len(validation))
    for each in made:
        each["published_captions_timed"] = 2 * timed
    return made


def peak_memory(way: str, case: Case, images: int) -> float | None:
    """MiB beyond imports and data while a few steps are made, in a process of its own; None where it can't be told.

    ``way`` is a precision of ours, or ``published``."""
    command = [sys.executable, __file__, "--memory", way, case.recipe.experiment, case.recipe.scale]
    done = subprocess.run([*command, case.device.type, str(images)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def measure_memory(way: str, experiment: str, scale: str, device_name: str, images: int) -> None:
    """In a process of its own: print the peak of three training steps, the model and the optimiser included."""
    device = choose_device(device_name)
    run = prepare(experiment, scale, images, "float32" if way == "published" else way)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = memory_now(forget_peak=True)  # that of preparing the data
    if way != "published":
        trainer = new_trainer(run, device)
        for _ in range(3):
            trainer.step()
    else:
        twin = published_path.PublishedVLJEPA(run.recipe).to(device)
        optimiser = published_path.optimiser_of(twin)
        train = run.examples["train"]
        order, size = epoch_order(len(train), 0, 0), run.recipe.batch_size
        for step in range(3):
            index = order[step * size : (step + 1) * size] if len(train) >= 3 * size else order[:size]
            published_path.train_step(twin, optimiser, [(train.images[i], train.texts[i], 0) for i in index])
    wait(device)
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated(device) / 2**20)
    else:
        after = memory_now()
        print("null" if after is None else after[1] - before[0])


def measure(options: argparse.Namespace, device: torch.device, keep: Callable[[list[dict]], None]) -> None:
    """Every part that was asked for, row by row."""
    budget = 0.0 if options.quick else 0.5
    of_dtype = {DTYPES[name]: matmul_peak(device, DTYPES[name], budget, options.clock) for name in options.precision}
    peaks = {name: of_dtype[DTYPES[name]] for name in options.precision}
    print("matrix-multiply peak in GFLOP/s: " + ", ".join(f"{name} {p / 1e9:,.0f}" for name, p in peaks.items()))
    for scale in options.scale:
        images = 32 if options.quick else IMAGES
        # Long enough a round to be timed, short enough for the whole laptop table to take five minutes on two cores.
        steps = 2 if options.quick else 10 if scale == "laptop" or device.type == "cuda" else 2
        timed = published_path.GENERATION_BATCH
        for experiment in options.runs:
            case = Case(experiment, scale, device, images, options.precision, options.clock)
            case.train(60 if scale == "laptop" else 2)
            case.same_weights()
            if "train" in options.only:
                made = time_training(case, options.rounds, steps, peaks)
                if not options.quick:
                    ways = ["published", *(each["precision"] for each in made)]
                    at_once = 1 if device.type == "cpu" else len(ways)
                    with ThreadPoolExecutor(at_once) as pool:  # of threads that wait for a process each
                        published, *ours = pool.map(partial(peak_memory, case=case, images=images), ways)
                    for each, mib in zip(made, ours, strict=True):
                        each["peak_memory_mib"] = {"ours": mib, "published": published}
                keep(made)
            if "generate" in options.only:
                keep(time_generation(case, options.rounds, timed))
            if "evaluate" in options.only:
                keep(time_evaluation(case, min(options.rounds, 3), timed))


def merged(old: dict[str, Any], here: dict[str, Any], rows: list[dict]) -> list[dict]:
    """New rows, and the old ones of the same machine that were not measured again, in the order of the table."""

    def key(r: dict) -> tuple:
        return SCALES.index(r["scale"]), PARTS.index(r["part"]), r["experiment"], r["what"], r["precision"]

    kept = {key(r): r for r in [*(old.get("rows", []) if old.get("machine") == here else []), *rows]}
    return [kept[k] for k in sorted(kept)]


def main(arguments: list[str] | None = None) -> int:
    if arguments is None and sys.argv[1:2] == ["--memory"]:
        way, experiment, scale, device_name, images = sys.argv[2:]
        measure_memory(way, experiment, scale, device_name, int(images))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--scale", nargs="+", choices=SCALES, help="laptop and paper by default")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=DTYPES,
        default=list(PRECISIONS),
        help="of ours; by default both, not compiled",
    )
    parser.add_argument("--device", help="cpu, cuda or mps; the best there is by default")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores by default")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: ratios on a CPU that is shared")
    parser.add_argument("--rounds", type=int, help="of each measurement; 5 by default")
    parser.add_argument("--quick", action="store_true", help="smoke scale, one round: does the harness itself run?")
    parser.add_argument("--json", type=Path, help="default: build/benchmarks/bench-DEVICE.json")
    parser.add_argument("--keep", action="store_true", help="also copy it to benchmarks/recorded/, to be committed")
    options = parser.parse_args(arguments)
    options.scale = options.scale or (["smoke"] if options.quick else ["laptop", "paper"])
    options.rounds = options.rounds or (1 if options.quick else 5)
    if options.clock == "cpu" and os.environ.get("OMP_WAIT_POLICY", "").lower() != "passive":
        parser.error("--clock cpu also counts threads that spin while they wait; set OMP_WAIT_POLICY=PASSIVE")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    if device.type == "cpu" and not cpu_multiplies_in_bfloat16() and options.precision != ["float32"]:
        print("this CPU does not multiply in bfloat16: float32 alone is measured")
        options.precision = ["float32"]
    path = options.json or REPOSITORY / "build" / "benchmarks" / f"bench-{device.type}.json"
    here = machine(device)
    sha, dirty = provenance.commit()
    stamp = {
        "commit": sha[:12] + (" with uncommitted changes" if dirty else ""),
        "measured": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}",
    }
    old = json.loads(path.read_text()) if path.exists() else {}
    rows: list[dict] = []

    def keep(made: list[dict]) -> None:
        rows.extend({**r, **stamp} for r in made)
        for line in table(made, head=len(rows) == len(made)):
            print(line, flush=True)
        report = {"format": 1, "machine": here, "rows": merged(old, here, rows)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())

    print(", ".join(f"{name} {value}" for name, value in here.items()))
    measure(options, device, keep)
    print(path)
    if options.keep:
        RECORDED.mkdir(exist_ok=True)
        shutil.copyfile(path, RECORDED / f"{device.type}.json")
        print(f"kept as {RECORDED / device.type}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
