"""Refusals of attempts that a model does not allow."""

from __future__ import annotations

from pharos.core.fault import Fault
from pharos.gateway.models.faults import COST_LIMITED
from pharos.gateway.models.plans import ModelPlan
from pharos.gateway.models.targets import Target
from pharos.mesh.money import decimal_text, in_words


def too_dear(model: ModelPlan, target: Target, spent: int, ceiling: int, most: int) -> Fault:
    """``COST_LIMITED``: with another attempt the call could cost more than it may. Amounts are billionths."""
    before = f"{in_words(spent)} are spent or held, and " if spent else ""
    return COST_LIMITED(
        f"A call of {model.name} may cost {in_words(most)}; {before}an attempt at {target.label} can cost "
        f"{in_words(ceiling)}.",
        subject=str(model.id),
        rule="model.maxCost",
        facts={"limit": decimal_text(most), "spent": decimal_text(spent), "requested": decimal_text(ceiling)},
    )
