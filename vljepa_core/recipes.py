"""A recipe is one experiment at one scale as frozen, checked data: what is trained on what, how long, and how judged.

``recipe("run2", scale="laptop", plan_vectors=32)`` is Run 2 at laptop scale with K = 32. ``paper`` is the
published recipe to the letter; the other scales state only what they change (see ``experiments``), so a table
of what was shrunk can be computed and can't go stale.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vljepa_core import tokenizer
from vljepa_core.experiments import ANSWERS, CHANGES, CONTROLS, STUDY, Control

EXPERIMENTS = (*STUDY, *ANSWERS, *CONTROLS)
SCALES = tuple(CHANGES)
FEWEST_SCORED = 8  # images a side from which the matrix of captions under plans is worth looking at


class RecipeError(ValueError):
    """A recipe that can't be: unknown name, key or value. The message says which are known."""


@dataclass(frozen=True)
class Recipe:
    """One experiment at one scale. Defaults are the published captioning size (Run 2)."""

    experiment: str
    scale: str
    objective: Literal["caption", "classify"] = "caption"
    query: str = "describe the image"
    # data
    n_train: int = 18_000  # images drawn from the train split; for Test 3 before ambiguous ones are left out
    n_val: int = 2_000
    image_size: int = 64  # pixels
    preprocess: Literal["squash", "crop"] = "squash"  # photographs: to 128 x 128 (bicubic), then to image_size
    normalise: Literal["none", "imagenet"] = "none"  # the report says ImageNet; only Test 3's code does it
    validate_on: Literal["val", "train"] = "val"  # train: the first n_val training examples, to see what is recited
    classes: int = 0  # Test 3: 20
    # model
    patch_size: int = 8  # pixels
    vocab_size: int = tokenizer.VOCAB_SIZE  # the bytes; more: pieces of words as well (pieces.py)
    max_length: int = 128  # ids per caption, BOS and EOS included
    dim: int = 256  # D
    heads: int = 8
    mlp_ratio: int = 4
    visual_depth: int = 4
    text_depth: int = 4
    fusion_depth: int = 4
    predictor_depth: int = 2
    decoder_depth: int = 4
    plan_vectors: int = 16  # K
    plan_source: Literal["image", "caption", "table", "none"] = "image"  # what the plan is made from, see model/vljepa
    plan_query_residual: bool = False  # published: no residual on the plan queries
    decoder: Literal["baseline", "stronger", "refactored"] = "baseline"
    cross_gate_init: float = 2.0  # Run 3; "initialised high", the value is not reported: sigmoid(2) = 0.88
    plan_dropout: float = 0.2  # Run 3
    word_dropout_rate: float = 0.3  # Run 4
    word_dropout: Literal["element", "token"] = "element"  # as coded, or as the report describes it
    # training
    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    warmup_epochs: int = 10  # published: min(10, epochs / 5); then a cosine, stepped once per epoch
    label_smoothing: float = 0.1
    diversity_weight: float = 0.5
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on CUDA alone; see train.precision_of
    compile: bool = False  # the training step through torch.compile, on CUDA with CUDA graphs
    # interventions (chapter "What breaks the collapse"); every default is the published recipe
    visual: str = "vit"  # or a network by name: efficientnet_lite0, timm:NAME, open_clip:NAME/TAG (model/networks)
    visual_weights: Literal["pretrained", "random"] = "pretrained"  # of that network
    visual_training: Literal["trained", "frozen"] = "trained"  # frozen: after pretraining, if there is any
    encoder_rate: float = 1.0  # the visual encoder's learning rate, as a multiple of the others'
    stem: Literal["patches", "convolutions"] = "patches"
    init: Literal["published", "balanced"] = "published"  # balanced: positions and embeddings start at one scale
    # What the plan's queries attend to; tokens: there are none, and the plan is the image's tokens.
    plan_reads: Literal["query", "image", "tokens"] = "query"
    plan_norm: Literal["layer", "batch"] = "layer"  # batch: over images, so that no plan can be the same for all
    nested_plan: bool = False  # train on cut plans too: the first k vectors, the first w numbers of each
    decoder_memory: int = 0  # learned vectors beside the plan where the decoder reads it; they are not sent
    captions: Literal["one", "all"] = "one"  # all: another caption of the image in every epoch
    augment: Literal["none", "shift", "flip"] = "none"  # flip: shifts and mirror images
    input_dropout: Literal["none", "token", "word", "blank"] = "none"  # bytes, words or whole captions blanked
    input_dropout_rate: float = 0.3
    sigreg_weight: float = 0.0
    vicreg_weight: float = 0.0
    align: Literal["infonce", "siglip"] = "infonce"
    align_weight: float = 0.0  # plan against caption, within the batch
    align_memory: int = 0  # InfoNCE: plans are also told from so many captions of earlier batches
    words_weight: float = 0.0  # the caption's words, in no order, from the plan
    hinge_weight: float = 0.0  # another image's plan should cost more, by hinge_margin
    hinge_margin: float = 5.0  # nats per caption
    # What is trained for the first pretrain_epochs: the plan alone, the visual encoder alone, or the decoder under the
    # batch's mean plan (and the plan by whatever losses of its own there are).
    pretrain: Literal["none", "align", "lejepa", "text"] = "none"
    pretrain_epochs: int = 0
    keep_best: bool = False  # early stopping: of all validated epochs, the weights with the lowest validation loss
    # evaluation
    max_new_tokens: int = 80  # ids, so that a caption in pieces of words may be longer than one in bytes
    temperature: float = 0.7
    validate_every: int = 1  # epochs; after the last one always
    probe_images: int = 100  # validation images decoded greedily at each validation, for the collapse curve
    scored_images: int = 200  # validation images whose captions are scored under each other's plans

    def __post_init__(self) -> None:
        def need(ok: bool, message: str) -> None:
            if not ok:
                raise RecipeError(f"{self.experiment} at {self.scale}: {message}")

        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = {"int": int, "float": (int, float), "bool": bool}.get(str(field.type), str)
            wrong_bool = isinstance(value, bool) and field.type != "bool"
            need(isinstance(value, kind) and not wrong_bool, f"{field.name}={value!r} should be {field.type}")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                signed = field.name == "cross_gate_init"  # a logit
                fits = math.isfinite(value) and (signed or value >= 0)
                need(fits, f"{field.name}={value!r} should be {'a finite number' if signed else '0 or more'}")
            if field.type == "float":  # 1 and 1.0 are one recipe, and one text of it
                object.__setattr__(self, field.name, float(value))
        for name in _AT_LEAST_ONE:
            need(getattr(self, name) >= 1, f"{name}={getattr(self, name)} should be at least 1")
        for name, choices in _CHOICES.items():
            need(getattr(self, name) in choices, f"{name}={getattr(self, name)!r} is none of {', '.join(choices)}")
        need(self.dim % self.heads == 0, f"dim={self.dim} is not a multiple of heads={self.heads}")
        need(self.dim % 4 == 0, f"dim={self.dim} is not a multiple of 4, which 2-D sin-cos positions need")
        need(  # networks have patches of their own
            self.visual != "vit" or self.image_size % self.patch_size == 0,
            f"image_size={self.image_size} is not a multiple of patch_size={self.patch_size}",
        )
        need(
            self.vocab_size >= tokenizer.VOCAB_SIZE,
            f"vocab_size={self.vocab_size} is smaller than the byte tokenizer's {tokenizer.VOCAB_SIZE}",
        )
        need(self.vocab_size <= 2**16, f"vocab_size={self.vocab_size}: at most 65,536 ids")
        query_ids = len(self.query.encode()) + 2
        need(self.max_length >= query_ids, f"max_length={self.max_length} can't hold the query's {query_ids} ids")
        for name in ("plan_dropout", "word_dropout_rate", "input_dropout_rate", "label_smoothing"):
            need(getattr(self, name) < 1, f"{name}={getattr(self, name)} should be below 1")
        need(
            self.epochs == 1 or self.warmup_epochs < self.epochs,
            f"warmup_epochs={self.warmup_epochs} of epochs={self.epochs}: the learning rate would not come down from "
            f"its warm-up; the study's rule, min(10, epochs / 5), is warmup_epochs={min(10, self.epochs // 5)}",
        )
        need(
            self.objective != "caption" or self.scored_images >= FEWEST_SCORED,
            f"scored_images={self.scored_images}: at least {FEWEST_SCORED}, or nothing can be said of the plans",
        )
        self._check_interventions(need)
        need(
            self.plan_source != "table" or self.validate_on == "train",
            "plan_source='table' has a plan for every training example and for no other: set validate_on=train",
        )
        need(
            self.plan_source != "caption" or self.captions == "one",
            "plan_source='caption' sends the one caption that is to be written: captions='all' would ask for another",
        )
        need((self.classes > 1) == (self.objective == "classify"), f"classes={self.classes} with {self.objective}")

    def _check_interventions(self, need: Callable[[bool, str], None]) -> None:
        network = self.visual != "vit"
        need(
            not network or self.visual == "efficientnet_lite0" or self.visual.startswith(("timm:", "open_clip:")),
            f"visual={self.visual!r} is none of vit, efficientnet_lite0, timm:NAME, open_clip:NAME/TAG",
        )
        need(
            network or self.visual_weights == "pretrained",
            "visual_weights='random' is of a network: the study's encoder, vit, always starts from random ones",
        )
        need(
            not network or self.visual_weights == "pretrained" or self.frozen_features or self.batch_size > 1,
            "visual_weights='random' that train go by the images of a batch, and batch_size=1: 2 or more",
        )
        need(not network or self.stem == "patches", f"stem={self.stem!r} is the ViT's, and visual={self.visual!r}")
        need(
            self.augment == "none" or self.frozen_features is None,
            f"augment={self.augment!r}: a frozen network's features are computed once, of the images as they are",
        )
        need(
            (self.pretrain == "none") == (self.pretrain_epochs == 0) and self.pretrain_epochs < self.epochs,
            f"pretrain={self.pretrain!r} with pretrain_epochs={self.pretrain_epochs} of {self.epochs} epochs",
        )
        need(
            self.input_dropout != "word" or self.vocab_size == tokenizer.VOCAB_SIZE,
            f"input_dropout='word' looks for spaces, which pieces of words (vocab_size={self.vocab_size}) hide",
        )
        need(self.pretrain != "align" or self.align_weight > 0, "pretrain='align' needs align_weight above 0")
        need(
            self.align_memory == 0 or (self.align_weight > 0 and self.align == "infonce"),
            f"align_memory={self.align_memory} is of align='infonce' with align_weight above 0",
        )
        need(
            self.align_memory == 0 or self.align_memory >= self.batch_size,
            f"align_memory={self.align_memory} holds no batch of {self.batch_size}: batch_size or more, or 0",
        )
        need(
            not self.nested_plan or self.plan_reads != "tokens",
            "nested_plan cuts a plan whose first vectors are to say most, and plan_reads='tokens' has no such order",
        )
        need(
            self.plan_norm != "batch" or self.batch_size > 1,
            "plan_norm='batch' normalises over the images of a batch, and batch_size=1: 2 or more, or plan_norm=layer",
        )
        given = [name for name in _IMAGE_ONLY if getattr(self, name) != DEFAULTS[name]]
        need(
            self.plan_source == "image" or not given,
            f"plan_source={self.plan_source!r} sees no image, which {', '.join(given)} would change",
        )
        given = [name for name in _CAPTION_ONLY if getattr(self, name) != DEFAULTS[name]]
        need(self.objective == "caption" or not given, f"{', '.join(given)}: of captions, and this run classifies")

    @property
    def frozen_features(self) -> str | None:
        """The network whose features, computed once, stand for the images; None where the model sees pixels.

        A network that first trains itself on these images sees pixels, too.
        """
        frozen = self.visual != "vit" and self.visual_training == "frozen" and self.plan_source == "image"
        return self.visual if frozen and self.pretrain != "lejepa" else None

    @property
    def plan_bytes(self) -> int:
        """Size of one latent plan on the wire: K x D numbers of 2 bytes (fp16)."""
        return 2 * self.plan_vectors * self.dim

    def to_dict(self) -> dict[str, Any]:
        """Flat dictionary, in the order above."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Canonical JSON: equal recipes have equal text."""
        return json.dumps(self.to_dict(), sort_keys=True)


# What a recipe of an older core, which had fewer fields, was run with.
DEFAULTS = {f.name: f.default for f in dataclasses.fields(Recipe) if f.default is not dataclasses.MISSING}
_IMAGE_ONLY = (
    "visual visual_training encoder_rate stem plan_reads plan_norm augment pretrain align_weight align_memory "
    "words_weight hinge_weight sigreg_weight vicreg_weight"
).split()
_CAPTION_ONLY = (
    "captions decoder_memory input_dropout nested_plan align_weight align_memory words_weight hinge_weight "
    "sigreg_weight vicreg_weight pretrain keep_best"
).split()
_AT_LEAST_ONE = (
    "n_train n_val image_size patch_size max_length dim heads mlp_ratio visual_depth text_depth fusion_depth "
    "predictor_depth decoder_depth plan_vectors epochs batch_size max_new_tokens validate_every probe_images"
).split()
_CHOICES = {name: get_args(kind) for name, kind in get_type_hints(Recipe).items() if get_origin(kind) is Literal}

# One keyword for what people change most; `depth` sets all five towers.
_ALIASES = {"K": ("plan_vectors",), "D": ("dim",), "lr": ("learning_rate",)}
_ALIASES["depth"] = ("visual_depth", "text_depth", "fusion_depth", "predictor_depth", "decoder_depth")
_KNOWN = [f.name for f in dataclasses.fields(Recipe) if f.name not in ("experiment", "scale")]


def did_you_mean(name: str, known: list[str] | tuple[str, ...]) -> str:
    """The nearest known name, as the end of an error message."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def recipe(experiment: str, scale: str = "laptop", **changes: Any) -> Recipe:
    """The recipe of an experiment at a scale, with some of its values changed.

    Args:
        experiment: one of ``EXPERIMENTS``.
        scale: ``smoke``, ``laptop`` or ``paper``.
        changes: fields of :class:`Recipe`, or the short names ``K``, ``D``, ``lr``, ``depth``.

    Raises:
        RecipeError: unknown experiment, scale or key (with the nearest known name), or an impossible value.
    """
    for kind, name, known in (("experiment", experiment, EXPERIMENTS), ("scale", scale, SCALES)):
        if name not in known:
            raise RecipeError(f"unknown {kind} {name!r}: {did_you_mean(str(name), known)}known: {', '.join(known)}")
    control = {**ANSWERS, **CONTROLS}.get(experiment, Control(experiment, {}))
    values: dict[str, Any] = {**STUDY[control.base], **CHANGES[scale][control.base]}
    values |= {**control.changes, **control.at.get(scale, {})}
    given: dict[str, str] = {}  # field -> the key that sets it
    for key, value in changes.items():
        if key not in _ALIASES and key not in _KNOWN:
            raise RecipeError(
                f"unknown recipe key {key!r}: {did_you_mean(key, [*_KNOWN, *_ALIASES])}"
                f"known: {', '.join([*_ALIASES, *_KNOWN])}"
            )
        for field in fields_of(key):
            if field in given:
                raise RecipeError(f"{given[field]} and {key} both set {field}; leave one of them out")
            given[field], values[field] = key, value
    return Recipe(experiment=experiment, scale=scale, **values)


def in_full(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded recipe with what the core that made it did not have, at its default."""
    return {**DEFAULTS, **values}


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of the values in which two recorded recipes differ, each taken ``in_full``."""
    one, other = in_full(one), in_full(other)
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


def fields_of(key: str) -> tuple[str, ...]:
    """The fields that a key sets: ``depth`` sets five, most set themselves."""
    return _ALIASES.get(key, (key,))


def changes_of(values: dict[str, Any]) -> dict[str, Any]:
    """What a recipe (``to_dict()``) changes of its experiment at its scale, under the names that people type.

    ``classes`` is left out: it follows from the data. Keys that today's recipes don't have are left out as well, and
    those that an older core did not have were at their defaults.
    """
    plain = recipe(values["experiment"], values["scale"]).to_dict()
    whole = in_full(values)
    changed = {k: whole[k] for k in plain if k != "classes" and whole[k] != plain[k]}
    for short, fields in _ALIASES.items():
        if all(name in changed for name in fields) and len({changed[name] for name in fields}) == 1:
            changed[short] = [changed.pop(name) for name in fields][0]
    return changed
