"""The operations of the noun ``models``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from pharos.core.wire import Json, Page
    from pharos.gateway.models.importing.operation import Imported
    from pharos.gateway.models.operations import ModelState
    from pharos.gateway.models.routing.explain import Explanation


class AsyncModels(AsyncNamespace):
    """Operations on ``models``."""

    async def explain(
        self,
        *,
        model: str,
        key: str | None = None,
        namespace: str = "default",
        dialect: Literal["openai-chat", "openai-responses", "anthropic", "gemini"] = "openai-chat",
        body: Mapping[str, Json] | None = None,
        headers: Mapping[str, str] | None = None,
        features: Sequence[Literal["tools", "vision", "imageUrls", "documents", "audio", "schema"]] | None = None,
        stream: bool | None = None,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        draw: float | None = None,
    ) -> Explanation:
        """Say where a call would go, and why, without making it.

        The rules, the health of the providers, what is under way, prices and latencies are those of this moment, and
        the decision is made by the same code as that of a call. Nothing is held, sent or recorded. Every call's event
        carries the same explanation as ``route``.

        Args:
            model: The name a client would ask for.
            key: The key it would come with: its labels, rights and budgets count. Absent: anybody's, without any of
                them.
            namespace: Namespace of the key, and of the model where no key is named.
            dialect: The dialect it would come in.
            body: The request as a client would send it; its ``model`` may be left out. One for Google's interface has
                none.
            features: What it needs, beside what ``body`` shows.
            stream: Absent: as ``body`` says.
            input_tokens: Absent: estimated from ``body``.
            max_output_tokens: Absent: as ``body`` says.
            draw: The number that decides wherever chance does. Absent: a random one, as for a call.

        Needs the permission ``models.read``. Raises a fault with code NOT_FOUND, MODEL_NOT_FOUND,
        MODEL_UNAVAILABLE, MODEL_UNPRICED, CAPABILITY_MISSING.
        """
        from pharos.gateway.models.routing.explain import Explanation

        return await self._caller.typed(
            "models.explain",
            {
                "model": model,
                "key": key,
                "namespace": namespace,
                "dialect": dialect,
                "body": body,
                "headers": headers,
                "features": features,
                "stream": stream,
                "inputTokens": input_tokens,
                "maxOutputTokens": max_output_tokens,
                "draw": draw,
            },
            Explanation,
        )

    async def import_(
        self, *, text: str, format: Literal["litellm"] = "litellm", namespace: str = "default"
    ) -> Imported:
        """Turn the configuration of a LiteLLM proxy into manifests.

        Nothing is applied: look at the manifests, do what ``unmapped`` says, and apply them. Secrets are never taken
        over: a manifest names the environment variable that a secret is read from.

        Args:
            text: The configuration, as YAML or JSON.
            format: Whose configuration it is: a LiteLLM proxy's ``config.yaml``.
            namespace: Namespace of the resources.

        Needs the permission ``models.read``. Raises a fault with code INVALID, TOO_LARGE.
        """
        from pharos.gateway.models.importing.operation import Imported

        return await self._caller.typed(
            "models.import", {"text": text, "format": format, "namespace": namespace}, Imported
        )

    async def list(
        self, *, namespace: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[ModelState]:
        """List models with the state, credential and price of each of their targets.

        Args:
            namespace: Only this namespace.
            limit: Most items of the page.
            cursor: ``next`` of the page before.

        Needs the permission ``models.read``.
        """
        from pharos.core.wire import Page
        from pharos.gateway.models.operations import ModelState

        return await self._caller.typed(
            "models.list", {"namespace": namespace, "limit": limit, "cursor": cursor}, Page[ModelState]
        )
