"""The routes of embeddings, of token counts, and of everything that Google's clients call."""

from __future__ import annotations

from collections.abc import Callable

from pharos.core.plane import ASGIApp, Receive, Route, Scope, Send
from pharos.gateway.models.answers.array import as_array
from pharos.gateway.models.call import Next, Task
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.gemini import STREAM_METHOD, WHOLE_METHOD, Gemini
from pharos.gateway.models.entrance import TASK, Entrance, Resolve
from pharos.gateway.models.google import PREFIXES, GoogleCalls, GoogleListing, Refuse
from pharos.gateway.models.spending.settlement import Settlements
from pharos.gateway.models.tasks.count import CountingGenerate, CountingMessages, CountTask
from pharos.gateway.models.tasks.embed import EmbedTask
from pharos.gateway.models.tasks.gemini_embeddings import GeminiEmbeddings, GeminiForm
from pharos.gateway.models.tasks.openai_embeddings import OpenAIEmbeddings, OpenAIForm


def task_routes(
    stack: Next, counting: Next, settlements: Settlements, resolve: Resolve, max_body: int
) -> tuple[Route, ...]:
    """``counting`` is the way of calls that count tokens."""
    embeddings = Entrance(OpenAIEmbeddings(), stack, settlements, resolve, max_body=max_body)
    messages = Entrance(CountingMessages(), counting, settlements, resolve, max_body=max_body)
    return (
        Route(
            "POST",
            "/v1/embeddings",
            With(EmbedTask(OpenAIForm()), embeddings),
            "Turn texts into vectors, in OpenAI's dialect.",
        ),
        Route(
            "POST",
            "/v1/messages/count_tokens",
            With(CountTask("anthropic"), messages),
            "Count the tokens of a prompt, in the Anthropic messages dialect.",
        ),
    )


def google_routes(
    stack: Next,
    counting: Next,
    settlements: Settlements,
    resolve: Resolve,
    max_body: int,
    listing: GoogleListing,
    refuse: Refuse,
) -> tuple[Route, ...]:
    """``counting`` is the way of calls that count tokens."""

    def entrance(way: Next) -> Entrance:
        return Entrance(Gemini(), way, settlements, resolve, max_body=max_body)

    generate = entrance(stack)
    entrances: dict[str, ASGIApp] = {
        WHOLE_METHOD: generate,
        STREAM_METHOD: generate,
        "embedContent": generate,
        "batchEmbedContents": generate,
        "countTokens": entrance(counting),
    }
    calls = GoogleCalls(entrances, entrance(as_array(stack)), _ASKED, refuse)
    return (
        *(
            Route("POST", f"{prefix}/*", calls, "Call a model, embed texts or count tokens in the Gemini dialect.")
            for prefix in PREFIXES
        ),
        Route("GET", PREFIXES[0], listing, "List the models the key may use, in the Gemini dialect."),
        Route("GET", f"{PREFIXES[0]}/*", listing, "Look up one model, in the Gemini dialect."),
    )


class With:
    """An application whose calls ask for something else than an answer."""

    def __init__(self, task: Task, app: ASGIApp) -> None:
        self._task = task
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope[TASK] = self._task
        await self._app(scope, receive, send)


_EMBED, _BATCH, _COUNT = EmbedTask(GeminiForm(batch=False)), EmbedTask(GeminiForm()), CountTask("gemini")

_ASKED: dict[str, Callable[[str], tuple[Dialect, Task | None]]] = {
    WHOLE_METHOD: lambda model: (Gemini(model), None),
    "embedContent": lambda model: (GeminiEmbeddings(model), _EMBED),
    "batchEmbedContents": lambda model: (GeminiEmbeddings(model, batch=True), _BATCH),
    "countTokens": lambda model: (CountingGenerate(model), _COUNT),
}
"""What a method asks for, and the dialect of its call, which knows the model that the URL names."""
