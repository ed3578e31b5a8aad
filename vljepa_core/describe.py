"""What a recipe costs before anything is trained: parameters, plan bytes, FLOPs and memory of a step.

Nothing is computed: the model lives on PyTorch's ``meta`` device, FLOPs are PyTorch's own count of one forward
and backward pass, and activation memory is what autograd would keep between the two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import caption_loss, diversity_loss
from vljepa_core.recipes import Recipe

ROOMS = ("visual_encoder", "text_encoder", "fusion", "predictor", "free_plans", "decoder", "classifier")


def parameters_by_room(model: nn.Module) -> dict[str, int]:
    """Trainable parameters of each room, and their total."""
    rooms = {
        name: sum(p.numel() for p in room.parameters() if p.requires_grad)
        for name in ROOMS
        if (room := getattr(model, name)) is not None
    }
    return {**rooms, "total": sum(p.numel() for p in model.parameters() if p.requires_grad)}


def step_cost(recipe: Recipe, caption_ids: int | None = None) -> dict[str, int]:
    """FLOPs (multiply-adds count as 2) and activation bytes of one training step of ``batch_size`` examples.

    ``caption_ids`` is the padded length of the batch's captions, ``max_length`` by default. float32 throughout.
    """
    length = caption_ids or recipe.max_length
    with torch.device("meta"):
        model = VLJEPA(recipe)
        ids = torch.zeros(recipe.batch_size, length, dtype=torch.long)
        source = _plan_source(recipe, ids)
        labels = torch.zeros(recipe.batch_size, dtype=torch.long)
    kept: dict[int, int] = {}  # storage -> bytes: views of one tensor are kept once

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if recipe.objective == "caption":
            plan, logits = model(source, ids[:, :-1])
            loss = caption_loss(logits, ids, recipe.label_smoothing) + diversity_loss(plan)
        else:
            loss = nn.functional.cross_entropy(model(source)[1], labels)
        loss.backward()
    return {"flops": counter.get_total_flops(), "activation_bytes": sum(kept.values())}


def _plan_source(recipe: Recipe, ids: torch.Tensor) -> torch.Tensor:
    """What the plans of a batch with these ids (B, N) are made from, on the current device."""
    if recipe.plan_source == "image":
        return torch.zeros(len(ids), recipe.image_size, recipe.image_size, 3, dtype=torch.uint8)
    return ids if recipe.plan_source == "caption" else torch.zeros(len(ids), dtype=torch.long)


def describe(recipe: Recipe) -> dict[str, Any]:
    """Recipe, parameters, plan size, FLOPs per training step, memory estimate (bytes)."""
    with torch.device("meta"):
        parameters = parameters_by_room(VLJEPA(recipe))
    cost = step_cost(recipe)
    state = 16 * parameters["total"]  # float32 weights, gradients, two AdamW moments
    return {
        "recipe": recipe.to_dict(),
        "parameters": parameters,
        "plan_bytes": recipe.plan_bytes,
        "flops_per_step": cost["flops"],
        "flops_note": f"batch {recipe.batch_size}, captions padded to {recipe.max_length} ids, forward and backward",
        "memory_bytes": {
            "weights_gradients_moments": state,
            "activations": cost["activation_bytes"],
            "images": (recipe.n_train + recipe.n_val) * recipe.image_size**2 * 3,
            "total": state + cost["activation_bytes"] + (recipe.n_train + recipe.n_val) * recipe.image_size**2 * 3,
        },
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
    name, what = {"image": ("image", "uint8 pixels"), "caption": ("caption", "byte ids")}.get(
        recipe.plan_source, ("row", "its number")
    )
    first = {"name": name, "module": what, "shape": tuple(source.shape[1:]), "parameters": 0}
    return [first, *seen]
