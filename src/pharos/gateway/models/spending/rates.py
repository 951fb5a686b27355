"""What one model costs at one provider, by token class, and the one place where a cost is rounded.

Rounding: a cost is rounded once, half to even, to a billionth of the currency unit; an amount to *hold* is rounded up.
So the cost of a call that stays within its bounds never exceeds what was held for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import NamedTuple, cast

from pharos.mesh.facts import INPUT_CLASSES, OUTPUT_CLASSES, PriceUsed, Usage, prompt_of
from pharos.mesh.money import MOST_COST

ZERO = Decimal(0)

PARENTS: Mapping[str, str] = MappingProxyType(
    {
        "inputAudio": "input",
        "inputImage": "input",
        "toolPrompt": "input",
        "cacheRead": "input",
        "cacheReadAudio": "cacheRead",
        "cacheWrite5m": "input",
        "cacheWrite30m": "cacheWrite5m",
        "cacheWrite1h": "cacheWrite5m",
        "cacheWrite12h": "cacheWrite1h",
        "outputAudio": "output",
        "outputImage": "output",
        "reasoning": "output",
    }
)
"""The class whose rate a class has where it has none of its own: what a price list leaves out costs as the class it is
part of. Parents stand before their children."""

IN_PROMPT_ORDER = (
    "cacheRead", "cacheReadAudio", "cacheWrite5m", "cacheWrite30m", "cacheWrite1h", "cacheWrite12h",
    "toolPrompt", "input", "inputAudio", "inputImage",
)  # fmt: skip
"""Where the tokens of each class stand in a prompt: what a cache holds is its beginning. Only marginal steps ask."""


Number = int | Decimal


class Rate(NamedTuple):
    """Billionths per token, with steps by the length of the prompt: ``(above, rate)``, ascending."""

    base: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()

    def at(self, prompt: int) -> Decimal:
        """The rate for a prompt of this length."""
        rate = self.base
        for above, step in self.steps:
            if prompt <= above:
                break
            rate = step
        return rate

    def between(self, first: int, last: int) -> Decimal:
        """The sum of the rates of the tokens at the places ``first`` (from 0) to before ``last`` of the prompt."""
        total, rate, place = ZERO, self.base, first
        for above, step in self.steps:
            if place < above:
                if last <= above:
                    break
                total += (above - place) * rate
                place = above
            rate = step
        return total + (last - place) * rate

    def most(self, prompt: int) -> Decimal:
        """The highest rate that a token of a prompt of at most this length can be priced at."""
        return max((self.base, *(rate for above, rate in self.steps if prompt > above)))


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of one model at one provider in one service tier, and where it comes from.

    ``marginal``: only the part of a prompt above a step is priced at the step's rate. Otherwise, as all vendors of the
    public price list do it, the whole prompt is, and its answer. The answer always follows the length of the prompt.
    """

    used: PriceUsed
    classes: Mapping[str, Rate]
    """A rate for every class."""
    request: Decimal
    """Billionths for each request."""
    tools: Mapping[str, Decimal]
    """Billionths for each use of a tool of the provider's own."""
    marginal: bool = False
    flat: bool = field(init=False)
    """No rate has steps."""
    base: Mapping[str, Number] = field(init=False, compare=False, repr=False)
    each: Number = field(init=False, compare=False, repr=False)
    """``request``, as a number of the same kind as those of ``base``."""
    dearest: tuple[Number, Number] = field(init=False, compare=False, repr=False)
    """Highest base rate of any input and of any output class."""

    def __post_init__(self) -> None:
        classes = self.classes
        object.__setattr__(self, "flat", not any(rate.steps for rate in classes.values()))
        # Most prices are whole billionths a token: integers are exact, too, and take a fourth of the time of decimals.
        base: dict[str, Number] = {name: rate.base for name, rate in classes.items()}
        each: Number = self.request
        if self.flat and all(number == int(number) for number in (*base.values(), each)):
            base, each = {name: int(number) for name, number in base.items()}, int(each)
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "each", each)
        into = max(base[name] for name in INPUT_CLASSES)
        out = max(base[name] for name in OUTPUT_CLASSES)
        object.__setattr__(self, "dearest", (into, out))

    def cost(self, usage: Usage) -> int:
        """Cost in billionths of the currency unit, rounded half to even."""
        total = self.each
        if self.flat:
            base = self.base
            for name, count in cast("Mapping[str, int]", usage).items():
                rate = base.get(name)
                if rate is not None:
                    total += count * rate
        else:
            total += self._stepped(usage)
        if "serverTools" in usage:
            for tool, uses in usage["serverTools"].items():
                total = total + uses * self.tools.get(tool, ZERO)
        if isinstance(total, Decimal):
            total = int(total.to_integral_value(ROUND_HALF_EVEN))
        return total if total < MOST_COST else MOST_COST

    def _stepped(self, usage: Usage) -> Decimal:
        prompt = prompt_of(usage)
        counts = cast("Mapping[str, int]", usage)
        total, place = ZERO, 0
        for name in IN_PROMPT_ORDER:
            if count := counts.get(name):
                rate = self.classes[name]
                total += rate.between(place, place + count) if self.marginal else count * rate.at(prompt)
                place += count
        for name in OUTPUT_CLASSES:
            if count := counts.get(name):
                total += count * self.classes[name].at(prompt)
        return total

    def without(self, usage: Usage) -> list[str]:
        """What of the usage has no known price and is not in the cost."""
        return sorted(tool for tool, uses in usage.get("serverTools", {}).items() if uses and tool not in self.tools)

    def ceiling(self, input_tokens: int, output_tokens: int) -> int:
        """The most that a call within these bounds can cost, in billionths, rounded up.

        Any input token may turn out to be a write to the provider's prompt cache, which can be dearer than plain input.
        """
        into, out = self.dearest
        if not self.flat:
            into = max(self.classes[name].most(input_tokens) for name in INPUT_CLASSES)
            out = max(self.classes[name].most(input_tokens) for name in OUTPUT_CLASSES)
        total = input_tokens * into + output_tokens * out + self.each
        return int(total.to_integral_value(ROUND_CEILING)) if isinstance(total, Decimal) else total


def completed(known: Mapping[str, Rate]) -> dict[str, Rate]:
    """Rates of all classes from those of some, ``input`` and ``output`` among them."""
    rates = dict(known)
    for name, parent in PARENTS.items():
        if name not in rates:
            rates[name] = rates[parent]
    return rates
