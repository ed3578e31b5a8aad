"""``--set KEY=VALUE``, which several commands have."""

from __future__ import annotations

import ast
from typing import Any

from vljepa_core.recipes import RecipeError


def parse_changes(pairs: list[str]) -> dict[str, Any]:
    """``["K=32", "word_dropout=token"]`` -> ``{"K": 32, "word_dropout": "token"}``.

    Raises:
        RecipeError: no pair, or a key that is there twice.
    """
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise RecipeError(f"--set {pair}: expected KEY=VALUE, e.g. plan_vectors=32")
        if key in changes:
            raise RecipeError(f"--set {key}={changes[key]} and {pair}: {key} is there twice; leave one of them out")
        try:
            changes[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            changes[key] = text
    return changes
