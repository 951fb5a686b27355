"""Coverage-guided fuzzing of the four dialects: what a client asks, and what a provider answers, whole and streamed.

    python scripts/fuzz_dialects.py --seconds 60 [--corpus DIRECTORY]

Hypothesis makes JSON of the bytes that atheris mutates, so that coverage leads into the readers, not to a parser only.
Needs ``atheris``, which is not among the locked packages as it is not built for every Python: ``pip install atheris``.
A request is read or refused with ``INVALID``; an answer or a frame is read or is a ``ValueError``. Anything else ends
the run with a traceback and the input in the working directory, and a code that is not 0.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

try:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]
except ImportError:
    print("fuzz_dialects: atheris is not installed: pip install atheris", file=sys.stderr)
    sys.exit(2)

with atheris.instrument_imports(include=["pharos.gateway.models.dialects", "pharos.gateway.models.answers.sse"]):
    import orjson

    from pharos.core.fault import INVALID, Fault
    from pharos.core.wire import JsonObject
    from pharos.gateway.models.answers.sse import Parser
    from pharos.gateway.models.dialects.anthropic import Anthropic
    from pharos.gateway.models.dialects.dialect import Dialect
    from pharos.gateway.models.dialects.gemini import Gemini
    from pharos.gateway.models.dialects.openai_chat import OpenAIChat
    from pharos.gateway.models.dialects.openai_responses import OpenAIResponses

DIALECTS: tuple[Dialect, ...] = (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini("m"))


def _request(dialect: Dialect, body: JsonObject) -> None:
    for read in (dialect.ask, dialect.read_request):
        try:
            read(body)
        except Fault as fault:
            if fault.code != INVALID.code:
                raise


def _answer(dialect: Dialect, body: JsonObject) -> None:
    for read in (dialect.usage, dialect.answered_model, dialect.read_answer):
        with suppress(ValueError):
            read(body)


def _stream(dialect: Dialect, data: bytes) -> None:
    parser, reader, watcher = Parser(), dialect.reader(), dialect.watcher(True)
    with suppress(ValueError):
        for frame in (*parser.feed(data), *parser.end()):
            for look in (reader.read, watcher.see):
                with suppress(ValueError):
                    look(frame)


_VOCABULARY = """
model messages role content type text tools function name arguments tool_calls tool_call_id id system input
output source tool_choice stop stream max_tokens thinking signature data response_format json_schema schema
choices delta finish_reason usage index error message code event reasoning summary encrypted_content call_id
function_call function_call_output item item_id output_index response status contents parts functionCall
functionResponse args inlineData thoughtSignature candidates finishReason usageMetadata generationConfig
content_block partial_json user assistant tool tool_use tool_result image image_url url refusal auto required
object array string message_start content_block_start content_block_delta content_block_stop message_delta
message_stop response.created response.output_item.added response.output_text.delta response.completed
"""
_WORDS = st.sampled_from(_VOCABULARY.split())
_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | _WORDS | st.text(max_size=8)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=6))
_OBJECTS = st.dictionaries(_WORDS, _VALUES, max_size=8)


@settings(database=None, deadline=None)
@given(st.sampled_from(DIALECTS), st.lists(_OBJECTS, min_size=1, max_size=4), st.sampled_from("rasb"), st.binary())
def once(dialect: Dialect, objects: list[JsonObject], what: str, raw: bytes) -> None:
    """One input: a request, an answer, the events of a stream, or any bytes as a stream."""
    try:
        texts = [orjson.dumps(value) for value in objects]
    except TypeError:
        return  # a lone surrogate, which no parser lets through
    body: JsonObject = orjson.loads(texts[0])
    match what:
        case "r":
            _request(dialect, {"model": "m", **body})
        case "a":
            _answer(dialect, body)
        case "s":
            _stream(dialect, b"".join(b"data: %b\n\n" % text for text in texts))
        case _:
            _stream(dialect, raw)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long to run (60)")
    parser.add_argument("--corpus", default="", help="a directory of inputs, read and added to")
    options = parser.parse_args()
    limits = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=4096"]
    run = once.hypothesis.fuzz_one_input  # type: ignore[attr-defined] # hypothesis puts it there
    run(bytes(4096))  # what is made once, such as the table of characters, is not what takes long
    atheris.Setup([sys.argv[0], *limits, *([options.corpus] if options.corpus else [])], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
