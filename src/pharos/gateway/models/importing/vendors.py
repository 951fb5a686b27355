"""The providers that a LiteLLM model name can begin with, and how the city reaches them.

A provider is reached if it speaks one of the city's dialects over HTTP with a static credential. Those that sign their
requests or have a protocol of their own are named with the reason why they are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OPENAI = "openai-chat"


class Vendor(NamedTuple):
    """How a provider is reached. ``url`` is empty where the configuration must name it."""

    dialect: str
    url: str
    env: str = ""
    """The variable that LiteLLM reads its key from, where the configuration names none."""
    changed: str = ""
    """What is not quite as it was."""


VENDORS: Mapping[str, Vendor] = {
    "openai": Vendor(OPENAI, "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": Vendor("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "gemini": Vendor("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
    "groq": Vendor(OPENAI, "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Vendor(OPENAI, "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "codestral": Vendor(OPENAI, "https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY"),
    "deepseek": Vendor(OPENAI, "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": Vendor(OPENAI, "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Vendor(OPENAI, "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "openrouter": Vendor(OPENAI, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "perplexity": Vendor(OPENAI, "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "xai": Vendor(OPENAI, "https://api.x.ai/v1", "XAI_API_KEY"),
    "cerebras": Vendor(OPENAI, "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "sambanova": Vendor(OPENAI, "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "deepinfra": Vendor(OPENAI, "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "nvidia_nim": Vendor(OPENAI, "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "dashscope": Vendor(OPENAI, "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    "moonshot": Vendor(OPENAI, "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "volcengine": Vendor(OPENAI, "https://ark.cn-beijing.volces.com/api/v3", "VOLCENGINE_API_KEY"),
    "zai": Vendor(OPENAI, "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "minimax": Vendor(OPENAI, "https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    "ollama": Vendor(
        OPENAI, "http://localhost:11434/v1", changed="is reached through Ollama's OpenAI-compatible interface"
    ),
    "ollama_chat": Vendor(
        OPENAI, "http://localhost:11434/v1", changed="is reached through Ollama's OpenAI-compatible interface"
    ),
    "azure": Vendor(
        OPENAI, "", "AZURE_API_KEY", "is reached through Azure's v1 interface, which asks for no api-version"
    ),
    "azure_ai": Vendor(OPENAI, "", "AZURE_AI_API_KEY", "must be an OpenAI-compatible interface"),
    "hosted_vllm": Vendor(OPENAI, "", "HOSTED_VLLM_API_KEY"),
    "vllm": Vendor(OPENAI, ""),
    "lm_studio": Vendor(OPENAI, "", "LM_STUDIO_API_KEY"),
    "llamafile": Vendor(OPENAI, "http://127.0.0.1:8080/v1"),
    "openai_like": Vendor(OPENAI, ""),
    "custom_openai": Vendor(OPENAI, ""),
    "litellm_proxy": Vendor(OPENAI, "", "LITELLM_PROXY_API_KEY"),
}

UNREACHED: Mapping[str, str] = {
    "bedrock": "Bedrock wants requests signed with AWS credentials",
    "bedrock_converse": "Bedrock wants requests signed with AWS credentials",
    "sagemaker": "SageMaker wants requests signed with AWS credentials",
    "sagemaker_chat": "SageMaker wants requests signed with AWS credentials",
    "vertex_ai": "Vertex AI wants short-lived Google credentials",
    "vertex_ai_beta": "Vertex AI wants short-lived Google credentials",
    "watsonx": "watsonx wants short-lived IBM credentials",
    "oci": "OCI wants signed requests",
    "cohere": "Cohere has a protocol of its own",
    "cohere_chat": "Cohere has a protocol of its own",
    "replicate": "Replicate has a protocol of its own",
    "huggingface": "the Hugging Face router is not one provider; declare it by its OpenAI-compatible URL",
    "databricks": "Databricks serves each model under a URL of its own; declare it by that",
    "text-completion-openai": "the completions interface before chat is no dialect of the city",
    "azure_text": "the completions interface before chat is no dialect of the city",
    "assemblyai": "speech is no dialect of the city",
    "elevenlabs": "speech is no dialect of the city",
    "deepgram": "speech is no dialect of the city",
}

BARE: Mapping[str, str] = {
    "gpt-": "openai",
    "chatgpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "text-embedding-": "openai",
    "claude-": "anthropic",
    "deepseek-": "deepseek",
}
"""Beginnings of model names that stand without a provider, and whose they are."""


def vendor_of(model: str, custom: str | None) -> tuple[str, str]:
    """The provider's name and the model's name there. ``custom``: ``custom_llm_provider``, where it is given."""
    prefix, slash, rest = model.partition("/")
    if custom:
        return custom, rest if slash and prefix == custom else model
    if slash and (prefix in VENDORS or prefix in UNREACHED):
        return prefix, rest
    for beginning, vendor in BARE.items():
        if model.startswith(beginning):
            return vendor, model
    return (prefix if slash else ""), rest if slash else model
