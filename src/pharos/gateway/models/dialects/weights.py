"""How many images something counts as that is no text, where a call is held for what its bytes do not bound."""

from __future__ import annotations

from typing import Final

DOCUMENT: Final = 8
"""A document or a file: its pages are read as text and as images."""

RECORDING: Final = 16
"""A video, a recording or what nobody names: hours of it, which a link of a line can be, fill the longest context."""
