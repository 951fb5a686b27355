"""What a ``Model`` says about the compression of its requests. Without ``compression`` nobody looks at them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pharos.core.wire import Wire

Method = Literal["json", "tables", "repeats", "logs"]

_ALL: tuple[Method, ...] = ("json", "tables", "repeats", "logs")


class CompressionSpec(Wire):
    """Which requests to a model are compressed, how, and how long what was left out can be had.

    Only what users and tools said in earlier turns is compressed, and only behind the last marker of a provider's
    prompt cache. Instructions, tools, what the model said and the turn it is to answer stay as they are.
    """

    mode: Literal["shadow", "apply"] = "apply"
    """``shadow`` only measures: requests pass as they are, and each call says what would have been saved."""
    when: Literal["always", "asked"] = "always"
    """``asked``: only calls with the header ``x-pharos-compress: on``. A call with ``off`` is left alone either way."""
    methods: Annotated[list[Method], Field(min_length=1, max_length=4)] = Field(default_factory=lambda: [*_ALL])
    """``json``: white space of a text that is JSON. ``tables``: lists of objects with the same keys, in such a text,
    say their keys once. ``repeats``: a text, or eight lines and more of it, that stands further up already. ``logs``:
    lines in a row that differ only in times, ids and numbers; errors and outliers stay."""
    min_bytes: Annotated[int, Field(ge=64, le=1_048_576)] = 256
    """What a text must become smaller by; otherwise it stays as it is."""
    ttl_ms: Annotated[int, Field(ge=1_000, le=30 * 86_400_000)] = 3_600_000
    """How long what was left out is kept, counted from the last call in which it was left out."""
    max_bytes: Annotated[int, Field(ge=65_536, le=1024**3)] = 16 * 1024 * 1024
    """Memory for what was left out of one caller's requests; what was not used for longest goes first."""
