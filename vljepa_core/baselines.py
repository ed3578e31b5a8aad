"""What trivial answers score: the yardsticks beside a model's loss and beside its captions.

Loss: the blind memoriser, an image-blind model that knows every training caption. Its exact optimum needs no
training: it walks the prefix trie of the captions and says, at every prefix, the frequencies of what follows.
Captions: a human caption of another image, of the nearest training image, or of the image itself; one constant caption;
the captions of a trained blind model.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from pycocoevalcap.cider.cider_scorer import precook

from vljepa_core import metrics, tokenizer
from vljepa_core.blind import partner_of
from vljepa_core.datasets.selection import Examples
from vljepa_core.metrics import Metric, Scores, content_match, others, tokenise, training_captions, word_overlap
from vljepa_core.ngrams import References
from vljepa_core.published import Baseline
from vljepa_core.recipes import Recipe
from vljepa_core.records import Record

# The rule for the constant caption, see ``constant_caption``.
CANDIDATES, SHORTLIST, TRIED_ON = 20_000, 10, 1_000


def smoothing_floor(smoothing: float, vocabulary: int = tokenizer.VOCAB_SIZE) -> float:
    """Least label-smoothed cross-entropy (nats per id) of a model that knows every next id: nothing is below it.

    It is the entropy of torch's smoothed one-hot target: ``1 - eps + eps/V`` on the id, ``eps/V`` on each other.
    """
    rest = smoothing / vocabulary
    return float(_surprise(1 - smoothing + rest) + (vocabulary - 1) * _surprise(rest))


def blind_memoriser(
    captions: Sequence[str],
    max_length: int,
    smoothing: float = 0.0,
    vocabulary: int = tokenizer.VOCAB_SIZE,
    tokens: tokenizer.Tokens = tokenizer,
) -> float:
    """Least mean cross-entropy (nats per predicted byte) on these captions of a model that sees no image.

    A caption is predicted as in training: BOS, its bytes, EOS, cut at ``max_length`` ids (the cut drops EOS); BOS is
    given. With smoothing eps the target at a prefix is torch's: ``1 - eps`` on the next id plus ``eps/V`` on each of
    V ids. The best answer is the mean of the targets that follow that prefix, and its loss their mean's entropy.
    Without smoothing the sum over a caption telescopes: a caption costs ``-log`` of its share among the (cut)
    captions, ``log(n)`` nats for each of n different ones. Of ``tokens`` of several bytes these are what is predicted.

    Raises:
        ValueError: no captions, or ``max_length`` < 2, which leaves nothing to predict.
    """
    if not len(captions) or max_length < 2:
        raise ValueError(f"{len(captions)} captions cut at {max_length} ids: nothing to predict")
    ids = tokens.encode_batch(sorted(captions), max_length)  # sorted: equal prefixes are neighbours
    if tokens is not tokenizer:  # pieces sort in another order than their bytes
        ids = ids[np.lexsort(ids.T[::-1])]
    opens = np.zeros(len(ids), dtype=bool)  # opens[i]: row i has another prefix than the row before it
    opens[0] = True
    rest = smoothing / vocabulary
    nats = 0.0
    for column in ids.T[1:]:
        prefixes = np.flatnonzero(opens)
        opens[1:] |= column[1:] != column[:-1]
        nexts = np.flatnonzero(opens)  # one entry per prefix and id that follows it
        goes_on = column[nexts] != tokenizer.PAD
        count = np.diff(nexts, append=len(ids))[goes_on]
        prefix = (np.searchsorted(prefixes, nexts, side="right") - 1)[goes_on]
        size = np.diff(prefixes, append=len(ids))  # captions with this prefix
        q = (1 - smoothing) * count / size[prefix] + rest
        seen = np.bincount(prefix, minlength=len(prefixes))  # different ids that follow; 0 where the caption has ended
        nats += np.dot(size[prefix], _surprise(q))
        nats += np.dot(size[seen > 0], vocabulary - seen[seen > 0]) * _surprise(rest)
    return float(nats / int(tokens.bytes_predicted(ids).sum()))


def _surprise(q: np.ndarray | float) -> np.ndarray | float:
    """-q log q, 0 at 0."""
    return -q * np.log(np.maximum(q, 1e-300))


def score(references: Sequence[Sequence[str]], captions: Sequence[str]) -> Scores:
    """``metrics.score`` where no caption was drawn: the study's two metrics take the first reference."""
    return metrics.score([each[0] for each in references], references, captions)


def hold_out(references: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[str | None]]:
    """The last caption of each image is put aside as the human's answer, and the others stay the references.

    Whatever is then scored has the same references, so that model and human are compared on equal terms. An image
    with one caption keeps it and has no human answer (None).
    """
    kept = [list(each[:-1]) if len(each) > 1 else list(each) for each in references]
    return kept, [each[-1] if len(each) > 1 else None for each in references]


def constant_caption(references: Sequence[Sequence[str]], candidates: Sequence[str], seed: int = 0) -> str:
    """The caption that, said of every image, has about the highest CIDEr.

    Rule: of at most ``CANDIDATES`` different candidates (a random draw of more), the ``SHORTLIST`` whose tf-idf
    vector of 1- to 4-grams has the highest cosine with the references' mean one, which is CIDEr's linear part, are
    scored on ``TRIED_ON`` random images, and the best is taken.
    """
    return _constant_caption(tuple(map(tuple, references)), tuple(candidates), seed)


@lru_cache(maxsize=4)  # a chapter asks for it once for every run on the same captions
def _constant_caption(references: tuple[tuple[str, ...], ...], candidates: tuple[str, ...], seed: int) -> str:
    rng = np.random.default_rng(seed)
    texts = sorted({tokenise(c) for c in candidates})
    if len(texts) > CANDIDATES:
        texts = [texts[i] for i in rng.choice(len(texts), CANDIDATES, replace=False)]
    grams = [[precook(tokenise(c)) for c in each] for each in references]
    frequency = Counter(gram for each in grams for gram in set().union(*each))

    def unit(counts: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], float]:
        """tf-idf, to length 1 within the 1-grams, the 2-grams, ..."""
        vector = {g: count * math.log(len(grams) / frequency.get(g, 1)) for g, count in counts.items()}
        squares = Counter()
        for gram, x in vector.items():
            squares[len(gram)] += x * x
        return {g: x / math.sqrt(squares[len(g)]) for g, x in vector.items() if x > 0}

    centre: Counter = Counter()
    for each in grams:
        for counts in each:
            for gram, x in unit(counts).items():
                centre[gram] += x / len(each)

    def closeness(text: str) -> float:
        return sum(x * centre.get(gram, 0.0) for gram, x in unit(precook(text)).items())

    shortlist = sorted(texts, key=lambda text: (-closeness(text), text))[:SHORTLIST]
    trial = [references[i] for i in rng.permutation(len(references))[:TRIED_ON]]
    read = References([[tokenise(c) for c in each] for each in trial])
    return max(shortlist, key=lambda text: read.cider([text] * len(trial)).mean())


def loss_floors(recipe: Recipe, examples: Mapping[str, Examples]) -> dict[str, float]:
    """Lines to read a run's *training* loss between, from its own training captions; nats per predicted byte.

    The label-smoothed optimum of a blind memoriser, and the floor that smoothing leaves to a model that knows every
    byte. Neither bounds the validation loss. Empty for classification.
    """
    if recipe.objective != "caption":
        return {}
    eps, train = recipe.label_smoothing, examples["train"]
    captions = training_captions(recipe, train)
    blind = blind_memoriser(captions, recipe.max_length, eps, recipe.vocab_size, train.tokens)
    floors = {"blind memoriser of the training captions": blind}
    if eps > 0:
        ids = train.tokens.encode_batch(captions, recipe.max_length)
        ids_per_byte = (ids[:, 1:] != tokenizer.PAD).sum() / train.tokens.bytes_predicted(ids).sum()
        floors[f"all bytes known, smoothing {eps:g}"] = smoothing_floor(eps, recipe.vocab_size) * float(ids_per_byte)
    return floors


def of_run(recipe: Recipe, examples: Mapping[str, Examples]) -> dict[str, tuple[Baseline, ...]]:
    """What trivial answers score on a run's own validation images: metric name -> baselines.

    Scored as the run's captions are: overlap and content match against the drawn caption, CIDEr and Bleu-4 against
    all. The other human caption of an image is scored on overlap and content match only: for CIDEr it is itself
    one of the references. Empty for classification, whose record holds its majority class.
    """
    if recipe.objective != "caption":
        return {}
    validation = examples["val"]
    other = others(len(validation))
    constant = constant_caption(validation.references, examples["train"].texts)
    answers = {
        "another image's caption": [validation.texts[i] for i in other],
        "best constant caption": [constant] * len(validation),
    }
    found: dict[str, list[Baseline]] = {}

    def add(name: str, label: str, value: float) -> None:
        for kind in ("greedy", "sampled"):
            found.setdefault(f"{kind}_{name}", []).append(Baseline(label, value, "this build", "baselines.of_run"))

    for label, captions in answers.items():
        scores = metrics.score(validation.texts, validation.references, captions)
        for name in metrics.PER_IMAGE:
            add(name, label, float(getattr(scores, name).mean()))
        add("bleu4", label, scores.bleu4)
    second = [
        (text, next((c for c in each if c != text), None))
        for text, each in zip(validation.texts, validation.references, strict=True)
    ]
    second = [(text, again) for text, again in second if again is not None]
    if second:
        label = "same image, another caption"
        add("overlap", label, float(np.mean([word_overlap(r, c) for r, c in second])))
        add("content_match", label, float(np.mean([content_match(r, c) for r, c in second])))
    floors = [
        Baseline(label, value, "this build", "baselines.loss_floors")
        for label, value in loss_floors(recipe, examples).items()
    ]
    if recipe.label_smoothing > 0:
        train = examples["train"]
        captions = training_captions(recipe, train)
        plain = blind_memoriser(captions, recipe.max_length, 0.0, recipe.vocab_size, train.tokens)
        label = "blind memoriser of the training captions, without smoothing"
        floors.append(Baseline(label, plain, "this build", "baselines.of_run"))
    return {name: tuple(lines) for name, lines in {**found, "train_loss": floors}.items()}


def with_trivial(record: Record, examples: Mapping[str, Examples]) -> Record:
    """The record with ``of_run`` of its own data, so that whoever reads it elsewhere has its numbers' floors as well.

    Raises:
        ValueError: the record is of other images than ``examples``.
    """
    asked = Recipe(**record.recipe)  # keys that came later than the record are at their defaults
    if asked.objective != "caption":
        return record  # it holds its majority class
    _same_images(record, examples)
    trivial = {
        name: [{"label": line.label, "value": line.value} for line in lines]
        for name, lines in of_run(asked, examples).items()
    }
    return dataclasses.replace(record, trivial=trivial)


def with_constant(record: Record, examples: Mapping[str, Examples]) -> Record:
    """The record with ``constant_cider`` among its metrics: what the best constant caption scores on its images.

    Unchanged where no captions of images that it was not trained on were scored.

    Raises:
        ValueError: the record is of other images than ``examples``.
    """
    if "greedy_cider" not in record.metrics or record.recipe.get("validate_on") == "train":
        return record
    _same_images(record, examples)
    references = examples["val"].references
    constant = constant_caption(references, examples["train"].texts)
    cider = score(references, [constant] * len(references)).metrics()["cider"]
    return dataclasses.replace(record, metrics={**record.metrics, "constant_cider": dataclasses.asdict(cider)})


def _same_images(record: Record, examples: Mapping[str, Examples]) -> None:
    if [row["image_id"] for row in record.captions] != examples["val"].image_ids:
        raise ValueError(f"{record.experiment} ({record.data}, seed {record.seed}) was not judged on these images")


def on_equal_terms(
    record: Record, examples: Mapping[str, Examples], blind: Iterable[Record] = ()
) -> dict[str, dict[str, Metric]]:
    """A run's captions beside trivial answers and a human's, all scored against the same references.

    A human's caption is one of the references by which everything else is scored. Here the last of each image is put
    aside as the human's answer (``hold_out``), and only images that have several are scored; so CIDEr and Bleu-4 are
    a little lower than in the record, and overlap and content match are with the first caption, not the drawn one.

    Args:
        record: of a captioning run.
        examples: its "train" and "val".
        blind: trained blind models; the run's partner among them, if there is one, is an answer, too.

    Returns:
        name of the answer -> metric -> value; answers that can't be had are absent, and so are those of which a
        record has not all captions, because some repeat a person's (``records.keep``).

    Raises:
        ValueError: the record is of other images than ``examples``.
    """
    validation = examples["val"]
    _same_images(record, examples)
    kept, human = hold_out(validation.references)
    rows = [i for i, caption in enumerate(human) if caption is not None]
    if len(rows) < 2:
        return {}
    said = dict(zip(examples["train"].image_ids, examples["train"].texts, strict=True))
    other = others(len(validation))
    constant = constant_caption(kept, examples["train"].texts)
    partner = partner_of(record, blind)
    answers = {
        label: [row[way] for row in whose.captions]
        for label, whose, way in (
            ("greedy", record, "greedy"),
            ("t = 0.7", record, "sampled"),
            ("trained blind model, t = 0.7", partner, "sampled"),
        )
        if whose is not None and all(way in row for row in whose.captions)
    }
    answers["another image's caption"] = [validation.texts[i] for i in other]
    answers["best constant caption"] = [constant] * len(validation)
    for label, key in (("nearest by plans", "plan_neighbour"), ("nearest by pixels", "pixel_neighbour")):
        if all(key in row for row in record.captions):
            answers[label] = [said[row[key]] for row in record.captions]
    answers["another human"] = human
    references = [kept[i] for i in rows]
    return {name: score(references, [captions[i] for i in rows]).metrics() for name, captions in answers.items()}
