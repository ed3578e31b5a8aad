"""What a recipe costs before anything is trained: parameters, plan bytes, FLOPs, traffic and memory of a step.

Nothing is computed: the model lives on PyTorch's ``meta`` device, FLOPs are PyTorch's own count of one forward
and backward pass, and activation memory is what autograd would keep between the two.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vljepa_core import roofline
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import caption_loss, diversity_loss
from vljepa_core.published import PUBLISHED
from vljepa_core.recipes import Recipe
from vljepa_core.recipes import recipe as published_recipe
from vljepa_core.train import steps_of

ROOMS = ("visual_encoder", "text_encoder", "fusion", "predictor", "free_plans", "decoder", "classifier", "auxiliary")


def parameters_by_room(model: nn.Module) -> dict[str, int]:
    """Trainable parameters of each room, and their total."""
    rooms = {
        name: sum(p.numel() for p in room.parameters() if p.requires_grad)
        for name in ROOMS
        if (room := getattr(model, name)) is not None
    }
    return {**rooms, "total": sum(p.numel() for p in model.parameters() if p.requires_grad)}


def step_cost(recipe: Recipe, caption_ids: int | None = None) -> dict[str, int]:
    """What one training step of ``batch_size`` examples costs; float32 throughout.

    ``flops`` of matrix products and convolutions (multiply-adds count as 2); ``activation_bytes`` that are kept for
    the backward pass; ``operators`` and the ``bytes`` they move, as ``roofline`` counts them, optimiser included.
    Auxiliary losses, and a network that trains itself first, are left out.
    ``caption_ids`` is the padded length of the batch's captions, ``max_length`` by default.
    """
    length = caption_ids or recipe.max_length
    with torch.device("meta"):
        model = VLJEPA(recipe)
        ids = torch.zeros(recipe.batch_size, length, dtype=torch.long)
        source = _plan_source(recipe, ids)
        labels = torch.zeros(recipe.batch_size, dtype=torch.long)

    def step() -> None:
        if recipe.objective == "caption":
            plan, logits = model(source, ids[:, :-1])
            loss = caption_loss(logits, ids, recipe.label_smoothing) + diversity_loss(plan)
        else:
            loss = nn.functional.cross_entropy(model(source)[1], labels)
        loss.backward()

    kept: dict[int, int] = {}  # storage -> bytes: views of one tensor are kept once

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    model.zero_grad(set_to_none=True)
    traffic = roofline.Traffic()
    with roofline.FusedAttention(traffic), traffic:
        step()
    update = roofline.optimiser_traffic(parameters_by_room(model)["total"])
    return {
        "flops": counter.get_total_flops(),
        "activation_bytes": sum(kept.values()),
        "operators": traffic.operators + update["operators"],
        "bytes": traffic.bytes + update["bytes"],
    }


def _plan_source(recipe: Recipe, ids: torch.Tensor) -> torch.Tensor:
    """What the plans of a batch with these ids (B, N) are made from, on the current device."""
    if recipe.frozen_features:
        from vljepa_core.model.networks import feature_shape

        return torch.zeros(len(ids), *feature_shape(recipe.visual, recipe.image_size), dtype=torch.float16)
    if recipe.plan_source == "image":
        return torch.zeros(len(ids), recipe.image_size, recipe.image_size, 3, dtype=torch.uint8)
    return ids if recipe.plan_source == "caption" else torch.zeros(len(ids), dtype=torch.long)


def _image_bytes(recipe: Recipe) -> int:
    """What stands for one image on the device: its pixels in uint8, or a frozen network's features in float16."""
    if recipe.frozen_features:
        from vljepa_core.model.networks import feature_shape

        return 2 * math.prod(feature_shape(recipe.visual, recipe.image_size))
    return recipe.image_size**2 * 3


def describe(recipe: Recipe) -> dict[str, Any]:
    """Recipe, parameters, plan size, cost of a training step, what cards could make of it, memory estimate (bytes)."""
    with torch.device("meta"):
        parameters = parameters_by_room(VLJEPA(recipe))
    cost = step_cost(recipe)
    state = 16 * parameters["total"]  # float32 weights, gradients, two AdamW moments
    images = (recipe.n_train + recipe.n_val) * _image_bytes(recipe)
    return {
        "recipe": recipe.to_dict(),
        "parameters": parameters,
        "plan_bytes": recipe.plan_bytes,
        "flops_per_step": cost["flops"],
        "flops_note": f"batch {recipe.batch_size}, captions padded to {recipe.max_length} ids, forward and backward"
        + (", without auxiliary losses" if "auxiliary" in parameters else ""),
        "bytes_per_step": cost["bytes"],
        "operators_per_step": cost["operators"],
        "cards": roofline.predict(cost),
        "published_step": _published_step(recipe, cost),
        "memory_bytes": {
            "weights_gradients_moments": state,
            "activations": cost["activation_bytes"],
            "images": images,
            "total": state + cost["activation_bytes"] + images,
        },
    }


def _published_step(recipe: Recipe, cost: dict[str, int]) -> dict[str, float] | None:
    """Seconds per step of the published run, on a GPU that its report does not name, and the rates at which it would
    have done what this package's step does; None where no time was reported, or for a changed recipe."""
    run = PUBLISHED.get(recipe.experiment)
    if run is None or "seconds" not in run.metrics or recipe != published_recipe(recipe.experiment, "paper"):
        return None
    seconds = run.metrics["seconds"].value / steps_of(recipe, recipe.n_train)
    return {
        "seconds": seconds,
        "flops_per_second": cost["flops"] / seconds,
        "bytes_per_second": cost["bytes"] / seconds,
        "seconds_per_operator": seconds / cost["operators"],
    }


def data_flow(recipe: Recipe) -> list[dict[str, Any]]:
    """The rooms an image passes through, in order: name, class, output shape for one image, parameters.

    Shapes are recorded while a meta image (or whatever else the plan is made from) runs through the real modules,
    so the diagram can't drift from the code.
    """
    with torch.device("meta"):
        model = VLJEPA(recipe)
        ids = torch.zeros(1, recipe.max_length, dtype=torch.long)
        source = _plan_source(recipe, ids)
    seen: list[dict[str, Any]] = []
    parameters = parameters_by_room(model)
    hooks = [
        room.register_forward_hook(
            lambda module, inputs, output, name=name: seen.append(
                {
                    "name": name,
                    "module": type(module).__name__,
                    "shape": tuple(output.shape[1:]),
                    "parameters": parameters[name],
                }
            )
        )
        for name in ROOMS
        if (room := getattr(model, name)) is not None
    ]
    model(source, ids[:, :-1])
    for hook in hooks:
        hook.remove()
    name, what = {"image": ("image", "uint8 pixels"), "caption": ("caption", "ids")}.get(
        recipe.plan_source, ("row", "its number")
    )
    if recipe.frozen_features:
        what = "a frozen network's features, float16"
    first = {"name": name, "module": what, "shape": tuple(source.shape[1:]), "parameters": 0}
    return [first, *seen]
