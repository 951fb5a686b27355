"""A LiteLLM configuration becomes manifests that apply, and nothing of it is left out in silence."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.town import Town, chat, town
from tests.gateway.upstream import answer, upstream

from pharos.core.fault import Fault
from pharos.gateway.models.dialects.registry import DIALECTS
from pharos.gateway.models.importing.litellm import Conversion, convert

PRODUCTION = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://my-endpoint-europe.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_EU
      api_version: "2024-08-01-preview"
      rpm: 600
      timeout: 300
      stream_timeout: 60
    model_info: {base_model: azure/gpt-4o, mode: chat}
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: sk-very-secret-literal
      rpm: 400
      max_retries: 3
      temperature: 0.2
  - model_name: Claude Sonnet
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: "os.environ/ANTHROPIC_API_KEY"
      max_tokens: 8192
    model_info:
      supports_vision: true
      supports_response_schema: false
      max_input_tokens: 200000
      max_output_tokens: 64000
  - model_name: local
    litellm_params:
      model: hosted_vllm/meta-llama/Llama-3.1-8B-Instruct
      api_base: http://10.0.0.7:8000/v1
      input_cost_per_token: 0.0000002
      output_cost_per_token: 2e-7
      max_parallel_requests: 16
  - model_name: bedrock-claude
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0
      aws_access_key_id: os.environ/AWS_ID
  - model_name: "anthropic/*"
    litellm_params: {model: "anthropic/*"}
  - model_name: dalle
    litellm_params: {model: openai/dall-e-3}
    model_info: {mode: image_generation}
litellm_settings:
  drop_params: True
  num_retries: 2
  request_timeout: 600
  success_callback: ["langfuse"]
  context_window_fallbacks: [{"local": ["Claude Sonnet"]}]
  default_fallbacks: ["gpt-4o"]
  max_budget: 100
  budget_duration: 30d
  cache: true
  cache_params: {type: redis, host: cache.internal, password: another-secret}
router_settings:
  routing_strategy: usage-based-routing-v2
  model_group_alias: {"gpt-4": "gpt-4o", "old": {"model": "missing", "hidden": true}}
  fallbacks: [{"gpt-4o": ["Claude Sonnet", "local", "unknown"]}]
  allowed_fails: 3
  cooldown_time: 30
  redis_host: cache.internal
general_settings:
  master_key: sk-1234
  database_url: "postgresql://user:hidden@host/db"
environment_variables:
  LANGFUSE_SECRET: third-secret
unheard_of: {x: 1}
"""


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Town]:
    async with town(tmp_path) as running:
        yield running


def converted(text: str) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, tuple[str, str]]]:
    """Specs by kind and name, and what was not taken over by its pointer."""
    found = convert(yaml.safe_load(text), DIALECTS, "default")
    specs: dict[tuple[str, str], Any] = {(str(d["kind"]), d["metadata"]["name"]): d["spec"] for d in found.documents}  # type: ignore[index, call-overload]
    return specs, {each.pointer: (each.outcome, each.reason) for each in found.unmapped}


def test_a_realistic_configuration() -> None:
    specs, unmapped = converted(PRODUCTION)
    azure, openai = specs["Provider", "azure"], specs["Provider", "openai"]
    assert azure == {
        "dialect": "openai-chat",
        "baseUrl": "https://my-endpoint-europe.openai.azure.com/openai/v1",
        "apiKey": {"env": "AZURE_API_KEY_EU"},
        "retries": {"attempts": 3},
        "breaker": {"consecutive": 4, "openMs": 30_000},
        "timeouts": {"totalMs": 300_000, "firstByteMs": 60_000},
    }
    assert openai["apiKey"] == {"env": "OPENAI_API_KEY"}
    assert openai["retries"] == {"attempts": 4}
    assert specs["Provider", "hosted_vllm"]["concurrency"] == 16
    assert specs["Price", "hosted_vllm-meta-llama-llama-3.1-8b-instruct"] == {
        "provider": "hosted_vllm",
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "inputPerMillion": "0.2",
        "outputPerMillion": "0.2",
    }
    assert specs["Model", "gpt-4o"] == {
        "targets": [
            {"provider": "azure", "model": "gpt-4o-eu", "weight": 600},
            {"provider": "openai", "model": "gpt-4o", "weight": 400},
        ],
        "strategy": "least-outstanding",
        "fallbacks": ["claude-sonnet", "local"],
        "deadlineMs": 600_000,
    }
    assert specs["Model", "gpt-4"] == specs["Model", "gpt-4o"]
    assert specs["Model", "claude-sonnet"]["maxOutputTokens"] == 8192
    assert specs["Model", "claude-sonnet"]["targets"][0]["capabilities"] == {
        "vision": True, "schema": False, "contextTokens": 200_000, "maxOutputTokens": 64_000,
    }  # fmt: skip
    assert specs["Model", "claude-sonnet"]["fallbacks"] == ["gpt-4o"]
    assert specs["Model", "local"]["fallbacks"] == ["claude-sonnet", "gpt-4o"]
    assert specs["Budget", "imported"] == {"limit": "100.00", "window": "month"}
    assert {pointer: outcome for pointer, (outcome, _) in unmapped.items()} == {
        "/model_list/0/litellm_params/api_version": "changed",
        "/model_list/0/litellm_params/model": "changed",
        "/model_list/0/litellm_params/rpm": "dropped",
        "/model_list/1/litellm_params/api_key": "todo",
        "/model_list/1/litellm_params/rpm": "dropped",
        "/model_list/1/litellm_params/temperature": "dropped",
        "/model_list/2/model_name": "todo",
        "/model_list/4/litellm_params/model": "dropped",
        "/model_list/5/model_name": "dropped",
        "/model_list/6/model_info/mode": "dropped",
        "/litellm_settings/drop_params": "changed",
        "/litellm_settings/success_callback": "dropped",
        "/litellm_settings/context_window_fallbacks": "changed",
        "/litellm_settings/max_budget": "todo",
        "/litellm_settings/cache": "dropped",
        "/litellm_settings/cache_params": "dropped",
        "/router_settings/routing_strategy": "changed",
        "/router_settings/model_group_alias/old": "dropped",
        "/router_settings/fallbacks/0/gpt-4o": "dropped",
        "/router_settings/redis_host": "dropped",
        "/general_settings/master_key": "todo",
        "/general_settings/database_url": "dropped",
        "/environment_variables": "todo",
        "/unheard_of": "dropped",
    }


@pytest.mark.parametrize("secret", ["very-secret", "another-secret", "third-secret", "sk-1234", "hidden", "user:"])
def test_no_secret_is_taken_over_or_repeated(secret: str) -> None:
    specs, unmapped = converted(PRODUCTION)
    assert secret not in str(specs)
    assert secret not in str(unmapped)


def test_credentials_and_providers_are_shared() -> None:
    specs, unmapped = converted(
        """
model_list:
  - {model_name: a, litellm_params: {model: gpt-4o-mini, litellm_credential_name: main}}
  - {model_name: b, litellm_params: {model: openai/gpt-4.1, litellm_credential_name: main}}
  - {model_name: c, litellm_params: {model: openai/gpt-4.1, api_key: os.environ/OTHER}}
  - {model_name: d, litellm_params: {model: custom/x, api_base: "https://llm.internal/v1", api_key: none-of-yours}}
  - {model_name: e, litellm_params: {model: custom/x}}
  - {model_name: f, litellm_params: {model: claude-opus-4, api_key: os.environ/CLAUDE}}
credential_list:
  - credential_name: main
    credential_values: {api_key: os.environ/MAIN, api_base: "https://proxy.internal/v1"}
"""
    )
    assert {name: spec["baseUrl"] for (kind, name), spec in specs.items() if kind == "Provider"} == {
        "openai": "https://proxy.internal/v1",
        "openai-2": "https://api.openai.com/v1",
        "custom": "https://llm.internal/v1",
        "anthropic": "https://api.anthropic.com",
    }
    assert specs["Provider", "openai"]["apiKey"] == {"env": "MAIN"}
    assert specs["Provider", "custom"]["apiKey"] == {"env": "CUSTOM_API_KEY"}
    assert unmapped["/model_list/4/litellm_params/model"][0] == "dropped"
    assert ("Model", "e") not in specs


async def test_what_is_imported_applies_and_answers(city: Town) -> None:
    """The manifests of a configuration, exactly as they are returned."""
    said = await city.invoke("models.import", text=PRODUCTION)
    await city.invoke("catalog.apply", manifest=said["manifest"])
    assert [d["metadata"]["name"] for d in said["documents"] if d["kind"] == "Model"] == [
        "gpt-4o", "claude-sonnet", "local", "gpt-4",
    ]  # fmt: skip
    assert "&id" not in said["manifest"]
    os.environ["TEST_IMPORT_KEY"] = "sk-test"
    try:
        async with upstream(answer) as one:
            text = f"""
model_list:
  - model_name: fast
    litellm_params: {{model: openai/small-1, api_base: "{one.url}/v1", api_key: os.environ/TEST_IMPORT_KEY}}
"""
            said = await city.invoke("models.import", text=text)
            assert said["unmapped"] == []
            await city.invoke("catalog.apply", documents=said["documents"])
            await city.key("bot", models=["fast"])
            assert (await city.ask("bot", chat())).status == 200
            assert one.requests[0].headers["authorization"] == "Bearer sk-test"
    finally:
        del os.environ["TEST_IMPORT_KEY"]


@pytest.mark.parametrize("text", ["", "[]", "- 1", "a: [", "just text", "a: 1\n---\nb: 2"])
async def test_what_is_no_configuration_is_refused(city: Town, text: str) -> None:
    with pytest.raises(Fault, match="INVALID"):
        await city.invoke("models.import", text=text)


_leaf = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
_names = st.sampled_from(
    [
        *("model_list", "model_name", "litellm_params", "model_info", "model", "api_base", "api_key", "weight", "rpm"),
        *("timeout", "litellm_settings", "router_settings", "fallbacks", "model_group_alias", "credential_list"),
        *("credential_values", "max_budget", "num_retries", "mode", "cooldown_time", "routing_strategy"),
        *("input_cost_per_token", "default_fallbacks"),
    ]
)
_any = st.recursive(
    _leaf | st.sampled_from(["openai/x", "azure/y", "https://h/v1", "os.environ/A", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names | st.text(max_size=5), inner, max_size=6),
    max_leaves=15,
)
_deployment = st.fixed_dictionaries(
    {
        "model_name": st.sampled_from(["a", "b", "Ü x", "-"]) | _any,
        "litellm_params": st.dictionaries(_names, _any, max_size=6).map(lambda d: {"model": "openai/x", **d}),
    }
)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(_any, st.fixed_dictionaries({"model_list": st.lists(_deployment, max_size=4), "router_settings": _any}))
)
def test_no_configuration_breaks_it_and_what_comes_out_is_valid(config: Any) -> None:
    from pharos.gateway.models.kinds import KINDS

    found = convert(config, DIALECTS, "default")
    assert isinstance(found, Conversion)
    kinds: dict[str, Any] = {kind.name: kind for kind in KINDS}
    for document in found.documents:
        kind = kinds[str(document["kind"])]
        assert not kind.check(kind.spec.model_validate(document["spec"])), document
