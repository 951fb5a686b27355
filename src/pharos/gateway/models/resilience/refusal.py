"""Refusals of attempts that a model does not allow."""

from __future__ import annotations

from pharos.core.fault import Fault
from pharos.gateway.models.faults import COST_LIMITED
from pharos.gateway.models.plans import ModelPlan, Target
from pharos.mesh.money import decimal_text


def too_dear(model: ModelPlan, target: Target, spent: int, ceiling: int, most: int) -> Fault:
    """``COST_LIMITED``: with another attempt the call could cost more than it may. Amounts are billionths."""
    before = f"{decimal_text(spent)} USD are spent or held, and " if spent else ""
    return COST_LIMITED(
        f"A call of {model.name} may cost {decimal_text(most)} USD; {before}an attempt at {target.label} can cost "
        f"{decimal_text(ceiling)} USD.",
        subject=str(model.id),
        rule="model.maxCost",
        facts={"limit": decimal_text(most), "spent": decimal_text(spent), "requested": decimal_text(ceiling)},
    )
