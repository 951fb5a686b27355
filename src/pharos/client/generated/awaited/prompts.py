"""The operations of the noun ``prompts``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pharos.core.wire import Json
    from pharos.runtime.profiles.operations import Rendered


class AsyncPrompts(AsyncNamespace):
    """Operations on ``prompts``."""

    async def render(self, *, template: str, values: Mapping[str, Json] | None = None) -> Rendered:
        """Show a template with values. Refused where one is missing or unknown, or does not fit its variable.

        Args:
            template: Name of the ``PromptTemplate`` in the caller's namespace, or ``namespace/name``.
            values: By the name of the variable.

        Needs the permission ``catalog.read``. Raises a fault with code NOT_FOUND, TEMPLATE_VALUES.
        """
        from pharos.runtime.profiles.operations import Rendered

        return await self._caller.typed("prompts.render", {"template": template, "values": values}, Rendered)
