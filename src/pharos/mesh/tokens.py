"""How many tokens something has, where nobody has counted them.

One estimate for the whole city, without a network and without a tokeniser: the same bytes always have the same number,
so what was decided by it can be decided again. Bounds for money are another thing, see the gateway's
``spending/bounds.py``.
"""

from __future__ import annotations

from typing import Final

BYTES_PER_TOKEN: Final = 3
"""English text has about four bytes to a token; code, numbers and other scripts fewer. Leans to the dear side."""


def estimate_tokens(size: int) -> int:
    """Tokens of this many bytes, roughly."""
    return -(-size // BYTES_PER_TOKEN)
