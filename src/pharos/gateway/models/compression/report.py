"""What a call says of its compression: in its event, its journey and its answer's header."""

from __future__ import annotations

from pharos.gateway.models.compression.request import Outcome
from pharos.gateway.models.compression.spec import CompressionSpec
from pharos.gateway.models.guarding.texts import pointer
from pharos.mesh.facts import Compressed, CompressedText
from pharos.mesh.tokens import estimate_tokens

MAX_TOLD = 50
"""Texts that a call's event lists, and references of one."""

MAX_REFS = 8
"""References that the line has room for."""

MAX_PLACE = 256


def facts_of(spec: CompressionSpec, outcome: Outcome) -> Compressed:
    """What the call's event says of it."""
    texts: list[CompressedText] = [
        {
            "place": pointer(edit.path)[:MAX_PLACE],
            "method": edit.method,
            "before": edit.before,
            "after": edit.after,
            "refs": [piece.ref for piece in edit.pieces[:MAX_TOLD]],
        }
        for edit in outcome.edits[:MAX_TOLD]
    ]
    facts: Compressed = {
        "mode": spec.mode,
        "seenBytes": outcome.seen,
        "savedBytes": outcome.saved,
        "savedTokens": estimate_tokens(outcome.saved),
        "texts": texts,
        "left": outcome.left,
    }
    if len(outcome.edits) > len(texts):
        facts["more"] = len(outcome.edits) - len(texts)
    return facts


def told(facts: Compressed) -> str:
    """The same in one line, in the form of a structured field's dictionary (RFC 9651)."""
    texts = len(facts["texts"]) + facts.get("more", 0)
    said = f"mode={facts['mode']}, saved={facts['savedBytes']}, tokens={facts['savedTokens']}, texts={texts}"
    if refs := [ref for text in facts["texts"] for ref in text["refs"]] if facts["mode"] == "apply" else []:
        said += f', refs="{" ".join(refs[:MAX_REFS])}"'
    left = " ".join(f"{why}={count}" for why, count in facts["left"].items())
    return f'{said}, left="{left}"' if left else said
