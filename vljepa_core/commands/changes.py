"""``--set KEY=VALUE``, which several commands have."""

from __future__ import annotations

import ast
from typing import Any

from vljepa_core.recipes import RecipeError, fields_of


def parse_changes(pairs: list[str]) -> dict[str, Any]:
    """``["K=32", "word_dropout=token"]`` -> ``{"K": 32, "word_dropout": "token"}``.

    Raises:
        RecipeError: no pair, or a value that another pair sets, too.
    """
    changes: dict[str, Any] = {}
    setter: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise RecipeError(f"--set {pair}: expected KEY=VALUE, e.g. plan_vectors=32")
        for field in fields_of(key):
            if field in setter:
                raise RecipeError(f"--set {setter[field]} and {pair} both set {field}; leave one of them out")
            setter[field] = pair
        try:
            changes[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            changes[key] = text
    return changes
