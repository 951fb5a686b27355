"""LiteLLM's ``model_list``: each deployment is a target of the model it is named for, at a provider.

Deployments that reach the same place with the same credential and limits share one ``Provider``. A credential that
stands in the configuration itself is never repeated: the manifest names a variable to put it into.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.importing.report import Outcome, Report, Section
from pharos.gateway.models.importing.vendors import OPENAI, UNREACHED, VENDORS, Vendor, vendor_of

ENVIRONMENT = "os.environ/"

_MODES = frozenset({"chat", "completion", "responses", "embedding"})

_PER_TOKEN = {
    "input_cost_per_token": "inputPerMillion",
    "output_cost_per_token": "outputPerMillion",
    "cache_read_input_token_cost": "cacheReadPerMillion",
    "cache_creation_input_token_cost": "cacheWrite5mPerMillion",
    "cache_creation_input_token_cost_above_1hr": "cacheWrite1hPerMillion",
    "output_cost_per_reasoning_token": "reasoningPerMillion",
}

_ABILITIES = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_pdf_input": "documents",
    "supports_audio_input": "audio",
    "supports_response_schema": "schema",
}

_PARAMETERS: Mapping[str, tuple[Outcome, str]] = {
    "rpm": ("dropped", "a deployment has no rate of its own; limit its provider's `concurrency`, or the keys"),
    "tpm": ("dropped", "a deployment has no rate of its own; limit its provider's `concurrency`, or the keys"),
    "api_version": ("changed", "the interface that is used asks for none"),
    "tags": ("dropped", "write a rule with `headers` or `key.labels` instead"),
    "organization": ("dropped", "no header of the city's own goes to a provider"),
    "extra_headers": ("dropped", "no header of the city's own goes to a provider"),
    "stream": ("dropped", "the client decides whether it streams"),
    "drop_params": ("changed", "what a provider cannot express is left out and named in `x-pharos-dropped`"),
    "mock_response": ("dropped", "use `pharos simulate`"),
}
_NO_PARAMETER = "the city sends no parameter that the client did not"

_NOTHING: Mapping[str, tuple[Outcome, str]] = {}


@dataclass
class Group:
    """The deployments of one model name."""

    name: str
    pointer: str
    targets: list[JsonObject] = field(default_factory=list)
    limits: set[int] = field(default_factory=set)
    """Output limits that its deployments name."""


@dataclass
class Deployments:
    """Reads a list of deployments into groups, providers and prices."""

    report: Report
    dialects: Collection[str]
    credentials: Mapping[str, Section]
    defaults: JsonObject
    """What every provider's spec has beside where it is."""
    groups: dict[str, Group] = field(default_factory=dict)
    providers: dict[str, JsonObject] = field(default_factory=dict)
    """Specs by name."""
    prices: dict[str, JsonObject] = field(default_factory=dict)
    _names: dict[bytes, str] = field(default_factory=dict)

    def read(self, entries: Json, pointer: str) -> None:
        """Read ``model_list``."""
        if not isinstance(entries, list):
            if entries is not None:
                self.report.add(pointer, "dropped", "is not a list")
            return
        for index, entry in enumerate(entries):
            self._deployment(Section(entry, f"{pointer}/{index}", self.report))

    def _deployment(self, entry: Section) -> None:
        name, parameters, info = entry.text("model_name"), entry.section("litellm_params"), entry.section("model_info")
        model = parameters.text("model")
        if name is None or model is None:
            self.report.add(entry.pointer, "dropped", "has no model_name or no model")
            return
        if "*" in name or "*" in model:
            self.report.add(entry.at("model_name"), "dropped", "there are no wildcards: declare each model by name")
            return
        mode = info.text("mode") or "chat"
        if mode not in _MODES:
            self.report.add(info.at("mode"), "dropped", f"a deployment for {mode[:32]} is left out")
            return
        vendor, there = vendor_of(model, parameters.text("custom_llm_provider"))
        provider = self._provider(vendor, parameters)
        if provider is None:
            return
        group = self._group(name, entry.at("model_name"))
        target: JsonObject = {"provider": provider, "model": there}
        # What LiteLLM shuffles by: the weight, else the rates.
        weight = parameters.number("weight")
        rate = parameters.number("rpm") or parameters.number("tpm")
        if weight is not None or rate is not None:
            target["weight"] = min(round(weight if weight is not None else rate or 0), 1_000_000)
        for name_ in ("rpm", "tpm"):
            if parameters.has(name_):
                self.report.add(parameters.at(name_), *_PARAMETERS[name_])
        if weight is not None and weight != round(weight):
            self.report.add(parameters.at("weight"), "changed", "weights are whole numbers")
        limit = parameters.number("max_tokens", 1) or parameters.number("max_completion_tokens", 1)
        if limit is not None:
            group.limits.add(int(limit))
        if able := self._abilities(info):
            target["capabilities"] = able
        self._price(provider, there, parameters, info)
        if any((t["provider"], t["model"]) == (provider, there) for t in group.targets):
            self.report.add(entry.pointer, "changed", "stands there twice: the two are one target")
        else:
            group.targets.append(target)
        parameters.rest(_PARAMETERS, _NO_PARAMETER)
        for known in ("id", "base_model", "db_model"):
            info.take(known)
        info.rest(_NOTHING)
        entry.rest(_NOTHING)

    def _group(self, name: str, pointer: str) -> Group:
        slug = slug_of(name)
        if slug != name:
            self.report.add(pointer, "todo", f"is named {slug!r}: clients must ask for that")
        return self.groups.setdefault(slug, Group(slug, pointer))

    # Providers.

    def _provider(self, name: str, parameters: Section) -> str | None:
        """The name of the provider of a deployment; ``None`` if the city cannot reach it."""
        at = parameters.at("model")
        credential = parameters.text("litellm_credential_name")
        stored = self.credentials.get(credential or "", Section({}, "", self.report))
        if credential and not stored:
            self.report.add(parameters.at("litellm_credential_name"), "todo", "the credential is not in the text")
        url = self._url(parameters, stored)
        if name in UNREACHED and url is None:
            self.report.add(at, "dropped", UNREACHED[name])
            return None
        vendor = VENDORS.get(name)
        if vendor is None:
            if url is None:
                self.report.add(at, "dropped", "is not known; give its api_base if it speaks OpenAI's dialect")
                return None
            vendor = Vendor(OPENAI, "", changed="is taken to speak OpenAI's dialect")
        dialect = vendor.dialect
        if dialect not in self.dialects:
            self.report.add(at, "dropped", f"the city does not speak the dialect {dialect}")
            return None
        if vendor.changed:
            self.report.add(at, "changed", vendor.changed)
        url = url or vendor.url
        if not url:
            self.report.add(at, "dropped", f"{name} is reached by its api_base, which is not given")
            return None
        if name == "azure" and "/openai" not in url:
            url = f"{url.rstrip('/')}/openai/v1"
        spec: JsonObject = {"dialect": dialect, "baseUrl": url, **self.defaults}
        if variable := self._secret(name, vendor, parameters, stored):
            spec["apiKey"] = {"env": variable}
        self._numbers(spec, parameters)
        return self._named(slug_of(name or "provider"), spec)

    def _url(self, parameters: Section, stored: Section) -> str | None:
        for section in (parameters, stored):
            for name in ("api_base", "base_url"):
                url = section.text(name)
                if url is None:
                    continue
                if url.startswith(ENVIRONMENT):
                    self.report.add(
                        section.at(name), "todo", "write the URL itself: a manifest reads none from a variable"
                    )
                elif re.fullmatch(r"https?://[^\s?#@]+", url):
                    return url.rstrip("/")
                else:
                    self.report.add(section.at(name), "dropped", "is not an http or https URL, or has a query")
        return None

    def _secret(self, name: str, vendor: Vendor, parameters: Section, stored: Section) -> str:
        """The variable that holds our credential; empty if none is needed."""
        for section in (parameters, stored):
            key = section.text("api_key")
            if key is None:
                continue
            variable = key.removeprefix(ENVIRONMENT)
            if variable != key and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
                return variable
            variable = vendor.env or f"{re.sub(r'[^A-Z0-9]+', '_', name.upper()).strip('_') or 'PROVIDER'}_API_KEY"
            self.report.add(section.at("api_key"), "todo", f"a secret stands in the text: put it into {variable}")
            return variable
        return vendor.env

    def _numbers(self, spec: JsonObject, parameters: Section) -> None:
        timeouts: JsonObject = {}
        whole, stream = parameters.number("timeout"), parameters.number("stream_timeout")
        if whole:
            timeouts["totalMs"] = milliseconds(whole)
        if stream:
            timeouts["firstByteMs"] = milliseconds(stream)
        if timeouts:
            spec["timeouts"] = timeouts
        retries = parameters.number("max_retries")
        if retries is None:
            retries = parameters.number("num_retries")
        if retries is not None:
            spec["retries"] = attempts_after(retries)
        most = parameters.number("max_parallel_requests", 1)
        if most is not None:
            spec["concurrency"] = int(most)

    def _named(self, base: str, spec: JsonObject) -> str:
        """The name of the provider of this spec: one for all deployments that have the same."""
        key = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)
        name = self._names.get(key)
        if name is None:
            number = 1
            while f"{base}-{number}" in self.providers or (number == 1 and base in self.providers):
                number += 1
            name = base if number == 1 else f"{base}-{number}"
            self._names[key] = name
            self.providers[name] = spec
        return name

    # What is known of a model.

    def _abilities(self, info: Section) -> JsonObject:
        able: JsonObject = {}
        for theirs, ours in _ABILITIES.items():
            said = info.flag(theirs)
            if said is not None:
                able[ours] = said
        for theirs, ours in (("max_input_tokens", "contextTokens"), ("max_output_tokens", "maxOutputTokens")):
            tokens = info.number(theirs, 1)
            if tokens is not None:
                able[ours] = int(tokens)
        info.number("max_tokens")
        return able

    def _price(self, provider: str, model: str, parameters: Section, info: Section) -> None:
        spec: JsonObject = {"provider": provider, "model": model}
        for theirs, ours in _PER_TOKEN.items():
            for section in (info, parameters):
                cost = section.number(theirs)
                if cost is not None:
                    spec[ours] = f"{cost * 1_000_000:.9f}".rstrip("0").rstrip(".")
        if len(spec) == 2:
            return
        if not {"inputPerMillion", "outputPerMillion"} <= spec.keys():
            self.report.add(info.pointer, "dropped", "a price needs the cost of input and of output tokens")
            return
        self.prices[slug_of(f"{provider}-{model}")] = spec


def slug_of(name: str) -> str:
    """The name of a resource for a name that may have any characters."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower())[:128].strip("-._") or "unnamed"


def milliseconds(seconds: float) -> int:
    """A duration as manifests write it: at least a millisecond, at most a day."""
    return max(1, min(round(seconds * 1000), 86_400_000))


def attempts_after(retries: float) -> JsonObject:
    """``retries`` of a provider, for so many attempts after the first."""
    return {"attempts": max(1, min(int(retries) + 1, 10))}
