"""The base of everything that is written in a script."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field

from pharos.core.wire import Wire


class Part(Wire):
    """A typed piece of a script: unknown fields and wrong types are errors, nothing is coerced."""

    # Strict, so that a version like 1.10 or a bare `no` in YAML is an error and never another value.
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


Milliseconds: TypeAlias = Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)]
"""A delay: at most ten minutes."""

Tokens: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""A number of tokens."""

Label: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$")]
"""A name that may stand in a response header: lower-case letters, digits, ``.``, ``_`` and ``-``; at most 64."""
