"""Rate and quality: how much of what a trained captioner delivers is left when its plans are sent in so few bytes.

Every codec is asked the same things. *Bits*: the InfoNCE bound on I(plan; caption), from the captions' likelihoods
under the plans that arrive. *CIDEr*: of the greedy captions of these plans. The yardsticks:

- the whole plan in fp16, of which the others keep a share, paired over images;
- nothing sent: every image gets the mean plan of the training images;
- the full activations: the receiver makes the plan itself;
- the greedy caption of the whole plan, as text: the receiver has words in place of a plan;
- the image as JPEG or WebP of as many bytes, which the receiver puts through the same captioner.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vljepa_core import metrics, ngrams, probes, provenance
from vljepa_core.codecs import Codec, PlanCoder, some_codecs
from vljepa_core.datasets.selection import Examples
from vljepa_core.generate import generate
from vljepa_core.kept import infonce_terms, share_kept
from vljepa_core.linear_probes import frozen_plans
from vljepa_core.metrics import mean_metric
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.plan_probes import SCORED, drawn, score_matrix
from vljepa_core.rate_record import FORMAT, RateCurve, read_curve
from vljepa_core.recipes import FEWEST_SCORED, Recipe
from vljepa_core.recompress import Recompressed, recompress
from vljepa_core.records import RecordError

ROOMS = (*provenance.TRAINING, "metrics.py", "ngrams.py", "probes.py", "plan_probes.py", "linear_probes.py",
         "entropy_coding.py", "quantise.py", "codecs.py", "recompress.py", "kept.py", "rate.py",
         "rate_runs.py")  # fmt: skip
TEXT = "its caption, as text"  # the row of ``sent_as_text``
# Bytes at which the image is sent instead, see ``recompress``. A JPEG file has more than 600 bytes of tables alone.
LIMITS: dict[str, tuple[tuple[str, int], ...]] = {
    "WebP": (("bare", 32), ("bare", 128), ("file", 64), ("file", 128), ("file", 512), ("file", 2048)),
    "JPEG": (("bare", 32), ("bare", 128), ("bare", 512), ("bare", 2048), ("file", 32), ("file", 1024)),
}

Plans = np.ndarray  # float32 (N, K, D)


@dataclass(frozen=True)
class Answer:
    """What plans are worth to a receiver: nats (S, S) of captions under plans, S of the images; a caption of each."""

    scores: np.ndarray
    captions: list[str]


Receiver = Callable[[Plans], Answer]


def receiver(model: VLJEPA, recipe: Recipe, validation: Examples, scored: int = SCORED) -> Receiver:
    """A trained decoder at the other end: it is given a plan for each validation image.

    Bits are measured on the images that ``plan_probes.drawn`` draws, so that with as many of them the plans as they
    are give the run's own InfoNCE.
    """
    device = next(model.parameters()).device
    rows = torch.from_numpy(drawn(len(validation), scored))
    ids = torch.from_numpy(validation.ids.astype(np.int64))[rows].to(device)

    def receive(plans: Plans) -> Answer:
        arrived = torch.from_numpy(plans).to(device)
        scores = score_matrix(model.decoder, arrived[rows.to(device)], ids)
        return Answer(scores, generate(model.decoder, arrived, recipe.max_new_tokens, tokens=validation.tokens))

    return receive


class Measuring:
    """A curve in the making: a file that has a row more after each codec, and goes on where it was stopped.

    A file of another measurement, or one that can't be read, is told of on stderr and stays beside it, as ``.old``.
    """

    def __init__(self, curve: RateCurve, path: Path, receive: Receiver, validation: Examples) -> None:
        self.curve, self.path, self.receive, self.validation = curve, path, receive, validation
        try:
            old = read_curve(path)
        except FileNotFoundError:
            return
        except RecordError as error:
            why = f"it can't be read ({error})"
        else:
            same = ("weights_sha256", "source_hash", "scored", "captioned", "dataset", "recipe", "seed")
            differing = [name for name in same if getattr(old, name) != getattr(curve, name)]
            if not differing:
                self.curve = old
                return
            why = f"it is of another {' and another '.join(differing)}"
        kept = path.with_name(f"{path.name}.old")
        path.replace(kept)
        print(f"{path}: measured from the start, because {why}; the old one is kept as {kept.name}", file=sys.stderr)

    def add(self, row: dict[str, Any], arrived: Plans | Answer | None = None) -> None:
        """Judge what arrives (none: the row could not be had), and write the file with one row more."""
        clock = time.monotonic()
        if arrived is not None:
            answer = arrived if isinstance(arrived, Answer) else self.receive(arrived)
            cider = metrics.score(self.validation.texts, self.validation.references, answer.captions).cider.round(4)
            bits = infonce_terms(answer.scores).round(4)
            whole = self.curve.reference
            if not whole:
                whole.update({"bits": bits.tolist(), "cider": cider.tolist()})
            found = {
                "infonce": probes.infonce(answer.scores),
                "image_r1": probes.retrieval(answer.scores)["r1"],
                "cider": mean_metric(cider),
                "bits_kept": share_kept(bits, np.array(whole["bits"])),
                "cider_kept": share_kept(cider, np.array(whole["cider"])),
            }
            row = row | {name: None if m is None else dataclasses.asdict(m) for name, m in found.items()}
            row["unique"] = len(set(answer.captions)) / len(answer.captions)
        self.curve.rows.append(row)
        self.curve.provenance["seconds"] += time.monotonic() - clock
        self.curve.save(self.path)


def rate_curve(
    model: VLJEPA,
    recipe: Recipe,
    examples: dict[str, Examples],
    seed: int,
    about: dict[str, Any],
    path: Path,
    *,
    look: Callable[[np.ndarray], np.ndarray] = lambda images: images,
    codecs: Iterable[Codec] | None = None,
    limits: Mapping[str, Sequence[tuple[str, int]]] = LIMITS,
    scored: int = SCORED,
    progress: Callable[[str], None] = lambda name: None,
) -> RateCurve:
    """Measure a trained captioner at all these codecs; what is in the file already is not measured again.

    A codec takes about half a minute on one thread at laptop size with 200 images scored and 400 captioned; most of it
    grows with the square of ``scored``.

    Args:
        model, recipe, examples, seed: of the run; codecs are fitted on "train", judged on "val".
        about: data, dataset and weights_sha256, see ``RateCurve``.
        path: the curve's file.
        look: images uint8 (N, S, S, 3) -> what the model makes plans from, where that is a frozen network's features.
        codecs: by default ``some_codecs``. The whole plan in fp16 is always measured, and first.
        limits: format -> limits, see ``recompress``; empty: no images are sent.
        scored: validation images a side of the score matrix.
        progress: told the name of what is measured next.

    Raises:
        ValueError: a model that writes no captions or sees no images; fewer validation images than ``FEWEST_SCORED``.
    """
    train, validation = examples["train"], examples["val"]
    if model.decoder is None:
        raise ValueError(f"{recipe.experiment} writes no captions, so there is nothing to measure")
    if recipe.plan_source != "image":
        raise ValueError(f"{recipe.experiment} makes its plans from {recipe.plan_source!r}, not from images")
    if min(len(validation), scored) < FEWEST_SCORED:
        raise ValueError(f"{min(len(validation), scored)} validation images: at least {FEWEST_SCORED} are needed")
    device = next(model.parameters()).device
    with torch.no_grad():
        activation_bytes = 2 * model.look(torch.from_numpy(np.array(validation.seen[:1])).to(device)).numel()
    curve = RateCurve(
        format=FORMAT, experiment=recipe.experiment, scale=recipe.scale, seed=seed, recipe=recipe.to_dict(), **about,
        source_hash=provenance.source_hash(*ROOMS), scored=min(len(validation), scored), captioned=len(validation),
        plan_bytes=recipe.plan_bytes, activation_bytes=activation_bytes, reference={}, rows=[],
        provenance={**provenance.origin(device, "float32"), "seconds": 0.0},
    )  # fmt: skip
    measuring = Measuring(curve, path, receiver(model, recipe, validation, scored), validation)
    done = {row["name"] for row in measuring.curve.rows}
    k, d = recipe.plan_vectors, recipe.dim
    whole = Codec("fp16", k, d)
    codecs = dict.fromkeys([whole, *(some_codecs(k, d) if codecs is None else codecs)])
    plans, at_train = (frozen_plans(model, split.seen) for split in (validation, train))
    for codec in codecs:
        if codec.name not in done:
            progress(codec.name)
            measuring.add(*sent(codec, at_train, plans))
    for row, arrived in _yardsticks(at_train, plans, activation_bytes):
        if row["name"] not in done:
            progress(row["name"])
            measuring.add(row, arrived)
    if TEXT not in done:
        progress(TEXT)
        measuring.add(*sent_as_text(model, recipe, validation, plans, at_train.mean(axis=0), scored))
    for kind, wanted in limits.items():
        missing = [each for each in wanted if image_name(kind, *each) not in done]
        if not missing:
            continue
        progress(f"{kind}: {len(validation)} images compressed")
        for each, images in zip(missing, recompress(validation.images, kind, missing), strict=True):
            progress(image_name(kind, *each))
            arrived = frozen_plans(model, look(images.images)) if images.complete else None
            measuring.add(image_row(kind, *each, images), arrived)
    return measuring.curve


def sent(codec: Codec, train: Plans, plans: Plans) -> tuple[dict[str, Any], Plans]:
    """A codec's row, with its bytes, and the plans that arrive."""
    coder = PlanCoder(codec, train)
    symbols = coder.symbols(plans)
    coded = coder.coded_bytes(symbols)
    fixed = coder.fixed_bytes
    mean, most = (None, fixed) if coded is None else (float(coded.mean()), int(coded.max()))
    shorter = mean is not None and mean < fixed
    row = {
        "kind": "plan", "family": codec.family, "name": codec.name, "vectors": codec.vectors, "width": codec.width,
        "numbers": symbols.shape[1], "bytes": mean if shorter else fixed, "fixed_bytes": fixed, "coded_bytes": mean,
        "most_bytes": most if shorter else fixed,
    }  # fmt: skip
    return row, coder.plans(symbols)


def _yardsticks(train: Plans, plans: Plans, activation_bytes: int) -> Iterable[tuple[dict[str, Any], Plans]]:
    mean = np.broadcast_to(train.mean(axis=0), plans.shape).astype(np.float32)
    for kind, name, size, arrived in (
        ("nothing", "nothing (the mean plan)", 0, mean),
        ("activations", "full activations, fp16", activation_bytes, plans),
    ):
        yield {"kind": kind, "family": name, "name": name, "bytes": size, "fixed_bytes": size, "coded_bytes": None,
               "most_bytes": size}, arrived  # fmt: skip


def sent_as_text(
    model: VLJEPA, recipe: Recipe, validation: Examples, plans: Plans, mean: np.ndarray, scored: int = SCORED
) -> tuple[dict[str, Any], Answer]:
    """The row of a sender who writes the caption himself, and what his words are worth to a receiver.

    A caption's bytes are those that an arithmetic coder needs at most which predicts it as the decoder does under the
    ``mean`` plan (K, D) of the training images, which both sides have. What words tell of a person's caption is judged
    by CIDEr of the two, in place of a likelihood; InfoNCE is a lower bound whatever judges.
    """
    decoder = model.decoder
    device = next(model.parameters()).device
    written = generate(decoder, torch.from_numpy(plans).to(device), recipe.max_new_tokens, tokens=validation.tokens)
    ids = validation.tokens.encode_batch(written, recipe.max_length).astype(np.int64)
    expected = score_matrix(decoder, torch.from_numpy(mean[None]).to(device), torch.from_numpy(ids).to(device))[:, 0]
    sizes = np.ceil((np.ceil(-expected / np.log(2)) + 1) / 8)  # whole bits, and one more to end in
    row = {"kind": "text", "family": TEXT, "name": TEXT, "bytes": float(sizes.mean()), "fixed_bytes": None,
           "coded_bytes": float(sizes.mean()), "most_bytes": int(sizes.max())}  # fmt: skip
    asked = drawn(len(validation), scored)
    people = ngrams.References([[metrics.tokenise(validation.texts[i])] for i in asked])
    alike = [people.cider([metrics.tokenise(written[j])] * len(asked)) for j in asked]
    return row, Answer(np.stack(alike, axis=1), written)


def image_name(kind: str, count: str, limit: int) -> str:
    """Of a row: "WebP of at most 128 bytes, file"."""
    return f"{kind} of at most {limit} bytes, {count}"


def image_row(kind: str, count: str, limit: int, images: Recompressed) -> dict[str, Any]:
    """A row for images that were sent; without a size where not all of them could be had at the limit."""
    row = {"kind": "image", "family": f"{kind}, {count}", "name": image_name(kind, count, limit), "limit": limit}
    if not images.complete:
        return {**row, "bytes": None, "smallest_bytes": int(images.smallest.max())}
    mean = float(images.sizes.mean())
    return {**row, "bytes": mean, "fixed_bytes": None, "coded_bytes": mean, "most_bytes": int(images.sizes.max())}
