"""Faults: RFC 9457 documents that survive the wire."""

from __future__ import annotations

from pharos.core.call import Call
from pharos.core.fault import COMMON, NOT_FOUND, Applicability, Cause, FaultDocument, Fix, Retry


def test_document_round_trips() -> None:
    fault = NOT_FOUND(
        "No model 'fats'.",
        causes=[Cause(message="The name is not in the catalog.", resource="Model/default/fats")],
        pointer="/model",
        retry_after=1.5,
        fixes=[
            Fix(
                id="use-fast",
                title="Use 'fast'",
                applicability=Applicability.LIKELY,
                call=Call(operation="catalog.get", arguments={"kind": "Model", "name": "fast"}),
            )
        ],
    )
    wire = fault.document.to_json()
    assert wire["status"] == 404
    assert wire["code"] == "NOT_FOUND"
    assert wire["retry"] == {"class": "after_fix", "afterSeconds": 1.5}
    assert FaultDocument.model_validate(wire) == fault.document


def test_codes_are_unique_and_said_in_words() -> None:
    assert len({c.code for c in COMMON}) == len(COMMON)
    for code in COMMON:
        assert code.meaning.endswith(".") and code.title and 400 <= code.status < 600
        assert code().document.retry.retry in Retry
