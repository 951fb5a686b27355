"""The description that requests are made from, cut to what a city serves of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SERVED: Mapping[str, Sequence[str]] = {
    "/chat/completions": ("post",),
    "/embeddings": ("post",),
    "/models": ("get",),
    "/models/{model}": ("get",),
    "/responses": ("post",),
    "/responses/input_tokens": ("post",),
    "/responses/{response_id}/input_items": ("get",),
    "/responses/{response_id}": ("get", "delete"),
}
"""What the city serves of that API; what is deleted comes last."""


def described(path: Path) -> dict[str, Any]:
    """The description, cut to what the city serves. Raises ``SystemExit`` where it is none."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise unusable(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise unusable(f"{path} is not JSON: {error}") from None
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise unusable(f"{path} is not an OpenAPI 3 document")
    document["paths"] = {
        name: {key: value for key, value in paths[name].items() if key in methods or not _is_method(key)}
        for name, methods in SERVED.items()
        if name in paths
    }
    if not document["paths"]:
        raise unusable(f"{path} describes none of {', '.join(SERVED)}")
    document.get("components", {}).pop("securitySchemes", None)
    cut: dict[str, Any] = _without(document, "discriminator", "security")  # the key is ours
    return cut


def _without(value: Any, *names: str) -> Any:
    """``value`` without these members anywhere. A discriminator that maps no values is none: its variants decide."""
    if isinstance(value, dict):
        return {name: _without(item, *names) for name, item in value.items() if not (name in names and _bare(item))}
    return [_without(item, *names) for item in value] if isinstance(value, list) else value


def _bare(item: Any) -> bool:
    """Not a property that happens to have the name."""
    return isinstance(item, list) or (isinstance(item, dict) and "propertyName" in item)


def _is_method(key: str) -> bool:
    return key in {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def unusable(message: str) -> SystemExit:
    """What to raise where there is nothing to make requests from."""
    print(f"fuzz_openai: {message}", file=sys.stderr)
    return SystemExit(2)
