"""``models.import``: the configuration of another gateway as manifests."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import yaml
from pydantic import Field

from pharos.control.reading import read_documents
from pharos.core.fault import INVALID, TOO_LARGE, Problem
from pharos.core.operation import Invocation, read
from pharos.core.resource import Name
from pharos.core.wire import JsonObject, Wire
from pharos.gateway.models.importing.litellm import convert
from pharos.gateway.models.importing.report import Unmapped

MOST_TEXT = 4 * 1024 * 1024


class ImportConfig(Wire):
    """Input of ``models.import``."""

    text: Annotated[
        str, Field(min_length=1, max_length=MOST_TEXT, json_schema_extra={"contentMediaType": "application/yaml"})
    ]
    """The configuration, as YAML or JSON."""
    format: Literal["litellm"] = "litellm"
    """Whose configuration it is: a LiteLLM proxy's ``config.yaml``."""
    namespace: Name = "default"
    """Namespace of the resources."""


class Imported(Wire):
    """Manifests, and what they do not say."""

    manifest: str
    """The resources as YAML, to be looked at and applied."""
    documents: list[JsonObject]
    """The same as data, for ``catalog.apply``."""
    unmapped: list[Unmapped]
    """Every place that was not taken over as it was. Values are never repeated."""


class ImportOperations:
    """See the method."""

    def __init__(self, dialects: Collection[str]) -> None:
        self._dialects = dialects

    @read("models.import", permission="models.read", typical_ms=20, faults=(INVALID, TOO_LARGE))
    async def convert(self, invocation: Invocation, input: ImportConfig) -> Imported:
        """Turn the configuration of a LiteLLM proxy into manifests.

        Nothing is applied: look at the manifests, do what ``unmapped`` says, and apply them. Secrets are never taken
        over: a manifest names the environment variable that a secret is read from.
        """
        documents = read_documents(input.text)
        if len(documents) != 1 or not isinstance(documents[0], dict):
            message = "must be one object, such as the content of a config.yaml"
            raise INVALID(f"The text {message}.", pointer="/text", problems=[Problem(pointer="/text", message=message)])
        found = convert(documents[0], self._dialects, input.namespace)
        manifest = yaml.safe_dump_all(found.documents, sort_keys=False, allow_unicode=True, width=120)
        return Imported(manifest=manifest, documents=found.documents, unmapped=found.unmapped)
