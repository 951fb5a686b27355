"""A LiteLLM proxy configuration becomes manifests (https://docs.litellm.ai/docs/proxy/config_settings).

What is taken over: deployments, their credentials by variable, prices, abilities, weights, limits and timeouts;
strategies, aliases, fallbacks, retries and cooldowns; a budget. Everything else is reported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import orjson

from pharos.core.resource import API_VERSION
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.importing.deployments import Deployments, Group, attempts_after, milliseconds, slug_of
from pharos.gateway.models.importing.report import Outcome, Report, Section, Unmapped

_STRATEGIES: Mapping[str, tuple[str, str]] = {
    "simple-shuffle": ("weighted", ""),
    "least-busy": ("least-outstanding", ""),
    "latency-based-routing": ("latency", ""),
    "cost-based-routing": ("cost", ""),
    "usage-based-routing": ("least-outstanding", "the calls under way are counted, not the tokens of the minute"),
    "usage-based-routing-v2": ("least-outstanding", "the calls under way are counted, not the tokens of the minute"),
}

_WINDOWS: Mapping[str, str] = {
    "1h": "hour", "60m": "hour", "24h": "day", "1d": "day", "7d": "week", "1w": "week", "30d": "month", "31d": "month",
    "1mo": "month",
}  # fmt: skip

_OBSERVED: tuple[Outcome, str] = ("dropped", "every call is on the log; see the ledger, the journeys and /metrics")
_OWN_STORE: tuple[Outcome, str] = ("dropped", "the city has its own store")
_CACHE: tuple[Outcome, str] = ("dropped", "say which models give answers again: `cache` of a Model")
_UNNEEDED: tuple[Outcome, str] = ("dropped", "is not needed")

_GENERAL: Mapping[str, tuple[Outcome, str]] = {
    "master_key": ("todo", "the city makes its own admin key at its first start; keys are issued with `keys.issue`"),
    "salt_key": ("todo", "secrets are read from variables and files, not stored"),
    "database_url": _OWN_STORE,
    "database_connection_pool_limit": _OWN_STORE,
    "store_model_in_db": _OWN_STORE,
    "alerting": _OBSERVED,
    "alerting_threshold": _OBSERVED,
    "enable_jwt_auth": ("todo", "declare who is trusted to say who calls"),
    "pass_through_endpoints": ("dropped", "no route leads past limits, budgets and the ledger"),
    "max_parallel_requests": ("dropped", "limit the keys, or the `concurrency` of a Provider"),
    "ui_access_mode": _UNNEEDED,
}
_LITELLM: Mapping[str, tuple[Outcome, str]] = {
    "success_callback": _OBSERVED, "failure_callback": _OBSERVED, "callbacks": _OBSERVED, "service_callback": _OBSERVED,
    "set_verbose": _UNNEEDED, "json_logs": _UNNEEDED, "telemetry": _UNNEEDED, "turn_off_message_logging": _UNNEEDED,
    "cache": _CACHE, "cache_params": _CACHE,
    "drop_params": ("changed", "what a provider cannot express is left out and named in `x-pharos-dropped`"),
    "guardrails": ("todo", "declare a Guard"),
    "content_policy_fallbacks": ("dropped", "a content filter's refusal is the client's; see `onFailure` of a Model"),
    "default_internal_user_params": ("todo", "issue keys with limits"),
    "max_internal_user_budget": ("todo", "issue keys with budgets"),
}  # fmt: skip
_ROUTER: Mapping[str, tuple[Outcome, str]] = {
    "redis_host": _OWN_STORE, "redis_port": _OWN_STORE, "redis_password": _OWN_STORE, "redis_url": _OWN_STORE,
    "enable_pre_call_checks": ("changed", "what a target cannot do is checked before every call"),
    "content_policy_fallbacks": _LITELLM["content_policy_fallbacks"],
    "routing_strategy_args": ("dropped", "see `balancing` of a Model"),
    "retry_policy": ("dropped", "see `onFailure` of a Model"),
    "allowed_fails_policy": ("dropped", "see `breaker` of a Provider"),
    "enable_tag_filtering": ("dropped", "write rules with `headers` or `key.labels` instead"),
}  # fmt: skip
_TOP: Mapping[str, tuple[Outcome, str]] = {
    "environment_variables": ("todo", "set them in the environment of the city; nothing of them is taken over"),
    "include": ("todo", "only one text is read: import the included ones too"),
    "guardrails": ("todo", "declare a Guard"),
    "mcp_servers": ("dropped", "only models are imported"),
    "vector_store_registry": ("dropped", "only models are imported"),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """Manifests, and what they do not say."""

    documents: list[JsonObject]
    unmapped: list[Unmapped]


def convert(config: Json, dialects: Collection[str], namespace: str) -> Conversion:
    """Turn a configuration into manifests of ``namespace``. ``dialects`` are those the city speaks."""
    report = Report()
    top = Section(config, "", report)
    litellm, router = top.section("litellm_settings"), top.section("router_settings")
    deployments = Deployments(report, dialects, _credentials(top, report), _provider_defaults(litellm, router))
    deployments.read(top.take("model_list"), "/model_list")
    models = {name: _model(group, report) for name, group in deployments.groups.items()}
    _strategy(router, models)
    _aliases(router, models)
    _aliases(litellm, models)
    for section in (litellm, router):
        _fallbacks(section, models)
    deadline = router.number("timeout") or litellm.number("request_timeout")
    for spec in models.values():
        if deadline:
            spec["deadlineMs"] = milliseconds(deadline)
    documents = [
        *(_document("Provider", name, spec, namespace) for name, spec in deployments.providers.items()),
        *(_document("Price", name, spec, namespace) for name, spec in deployments.prices.items()),
        *(_document("Model", name, spec, namespace) for name, spec in models.items()),
        *_budget(litellm, namespace),
    ]
    litellm.rest(_LITELLM)
    router.rest(_ROUTER)
    top.section("general_settings").rest(_GENERAL)
    top.rest(_TOP)
    if not models:
        report.add("/model_list", "todo", "no model could be taken over")
    return Conversion(documents, report.items)


def _document(kind: str, name: str, spec: JsonObject, namespace: str) -> JsonObject:
    metadata: JsonObject = {"name": name}
    if namespace != "default":
        metadata["namespace"] = namespace
    # A copy: a text in which two resources share a part would be hard to edit.
    own: JsonObject = orjson.loads(orjson.dumps(spec))
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": own}


def _credentials(top: Section, report: Report) -> dict[str, Section]:
    entries = top.take("credential_list")
    found = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        section = Section(entry, f"/credential_list/{index}", report)
        name = section.text("credential_name")
        if name is not None:
            found[name] = section.section("credential_values")
    return found


def _provider_defaults(litellm: Section, router: Section) -> JsonObject:
    """What LiteLLM says of all deployments, and the city of each provider."""
    spec: JsonObject = {}
    retries = router.number("num_retries")
    retries = litellm.number("num_retries") if retries is None else retries
    if retries is not None:
        spec["retries"] = attempts_after(retries)
    breaker: JsonObject = {}
    fails = router.number("allowed_fails")
    fails = litellm.number("allowed_fails") if fails is None else fails
    if fails is not None:
        breaker["consecutive"] = int(fails) + 1
    pause = router.number("cooldown_time") or litellm.number("cooldown_time")
    if pause:
        breaker["openMs"] = milliseconds(pause)
    if breaker:
        spec["breaker"] = breaker
    return spec


def _model(group: Group, report: Report) -> JsonObject:
    spec: JsonObject = {"targets": [*group.targets]}
    if len(group.limits) == 1:
        spec["maxOutputTokens"] = min(group.limits)
    elif group.limits:
        report.add(group.pointer, "changed", "its deployments name several output limits; a model has one: none is set")
    return spec


def _strategy(router: Section, models: Mapping[str, JsonObject]) -> None:
    said = router.text("routing_strategy")
    if said is None:
        return
    strategy, changed = _STRATEGIES.get(said, ("", ""))
    at = router.at("routing_strategy")
    if not strategy:
        router.report.add(at, "dropped", "calls are shared by weight")
        return
    if changed:
        router.report.add(at, "changed", changed)
    for spec in models.values():
        if strategy != "weighted":
            spec["strategy"] = strategy


def _aliases(section: Section, models: dict[str, JsonObject]) -> None:
    """An alias is a model with the targets of another."""
    for name in ("model_group_alias", "model_alias_map"):
        aliases = section.section(name)
        for alias in aliases.names():
            value = aliases.take(alias)
            if isinstance(value, dict):
                value = value.get("model")
            spec = models.get(slug_of(value)) if isinstance(value, str) else None
            if spec is None:
                section.report.add(aliases.at(alias), "dropped", "stands for a model that is not there")
                continue
            slug = slug_of(alias)
            if slug != alias:
                section.report.add(aliases.at(alias), "todo", f"is named {slug!r}: clients must ask for that")
            if slug in models:
                section.report.add(aliases.at(alias), "dropped", "a model has that name")
            # The same object: what the model falls back to, its alias does.
            models.setdefault(slug, spec)


def _fallbacks(section: Section, models: Mapping[str, JsonObject]) -> None:
    for name in ("fallbacks", "context_window_fallbacks"):
        entries = section.take(name)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            each = Section(entry, f"{section.at(name)}/{index}", section.report)
            for model in each.names():
                own = models.get(slug_of(model))
                at = each.at(model)
                if own is None:
                    section.report.add(at, "dropped", "falls back from a model that is not there")
                else:
                    _add(own, each.take(model), models, at, section.report)
        if entries and name == "context_window_fallbacks":
            section.report.add(section.at(name), "changed", "they are turned to after every failure, not only that one")
    defaults = section.take("default_fallbacks")
    if defaults:
        for spec in models.values():
            _add(spec, defaults, models, section.at("default_fallbacks"), section.report)


def _add(spec: JsonObject, names: Json, models: Mapping[str, JsonObject], at: str, report: Report) -> None:
    known = spec.get("fallbacks")
    found: list[Json] = [*known] if isinstance(known, list) else []
    for other in names if isinstance(names, list) else ():
        slug = slug_of(other) if isinstance(other, str) else ""
        if slug not in models:
            report.add(at, "dropped", "falls back to a model that is not there")
        elif models[slug] is not spec and slug not in found:
            found.append(slug)
    if len(found) > 16:
        report.add(at, "changed", "a model has at most 16 fallbacks")
    if found:
        spec["fallbacks"] = found[:16]


def _budget(litellm: Section, namespace: str) -> list[JsonObject]:
    limit, window = litellm.number("max_budget"), litellm.text("budget_duration")
    if not limit:
        return []
    known = _WINDOWS.get(window or "", "total" if window is None else "")
    at = litellm.at("max_budget")
    if not known:
        litellm.report.add(litellm.at("budget_duration"), "changed", "the nearest window is a month")
    litellm.report.add(at, "todo", "name the budget `imported` in the keys that are charged to it")
    spec: JsonObject = {"limit": f"{min(limit, 999_999_999):.2f}", "window": known or "month"}
    return [_document("Budget", "imported", spec, namespace)]
