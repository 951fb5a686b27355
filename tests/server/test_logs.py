"""No secret and no prompt gets into the logs, whatever logs it."""

from __future__ import annotations

import io
import json
import logging

import pytest
from pydantic import BaseModel, ValidationError

from pharos.core.ids import uuid7
from pharos.server.logs import logging_to, redacted

SECRETS = [
    "ph_abcdefghijkl_0123456789abcdefghijABCDEFGHIJ0123456789abc",
    "sk-ant-api03-abcdefghij0123456789",
    "sk-proj-0123456789abcdefghij",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "ghp_0123456789abcdefghijABCDEFGHIJ0123",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", ["{}", "calling with {} failed", "authorization: Bearer {}", "{{'x-api-key': '{}'}}"])
def test_what_looks_like_a_secret_is_redacted(secret: str, form: str) -> None:
    text = redacted(form.format(secret))
    assert secret not in text
    assert secret[-12:] not in text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer short1",
        "authorization=basic dXNlcjpwYXNz",
        "b'x-api-key', b'hunter22'",
        '"x-api-key": "hunter22"',
        "?api_key=hunter22&x=1",
        "password: hunter22",
    ],
)
def test_credentials_are_known_by_their_names(text: str) -> None:
    shown = redacted(text)
    assert not any(secret in shown for secret in ("short1", "dXNlcjpwYXNz", "hunter22")), shown


def test_ids_and_words_stay() -> None:
    id = uuid7()
    text = f"operation {id} changed Model/default/fast in 12 ms: no key was used"
    assert redacted(text) == text


def logged(act: object) -> list[dict]:
    stream = io.StringIO()
    with logging_to(stream, "debug"):
        act()  # type: ignore[operator]
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_correlation() -> None:
    logger = logging.getLogger("pharos.test")
    (line,) = logged(lambda: logger.warning("line\nbreaks %s", "and \x00", extra={"correlation": "c-1"}))
    assert line["level"] == "warning"
    assert line["logger"] == "pharos.test"
    assert line["message"] == "line\nbreaks and \x00"
    assert line["correlation"] == "c-1"
    assert line["time"].endswith("+00:00")


def test_exceptions_name_places_and_no_values() -> None:
    class Prompt(BaseModel):
        text: int

    def act() -> None:
        try:
            try:
                Prompt.model_validate({"text": "the customer's words"})
            except ValidationError as error:
                raise RuntimeError(f"with {SECRETS[0]}") from error
        except RuntimeError:
            logging.getLogger("pharos.test").exception("failed")

    (line,) = logged(act)
    assert [link["type"] for link in line["error"]] == ["RuntimeError", "ValidationError"]
    assert line["error"][1]["text"] == "1 problems"
    assert "test_logs.py" in line["error"][0]["at"][0]
    text = json.dumps(line)
    assert "customer" not in text
    assert SECRETS[0] not in text


def test_the_loggers_of_before_come_back() -> None:
    before = logging.getLogger().handlers[:]
    logged(lambda: None)
    assert logging.getLogger().handlers == before
