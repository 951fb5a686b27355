"""Drive a city with requests made from OpenAI's published description of its API, and judge every answer.

    python scripts/fuzz_openai.py --spec openapi.json [--examples 100] [--seed 1] [--json]

The description is not part of this project: its path is given. Schemathesis makes requests that follow it, requests
that break it in one place, and this script breaks their JSON. Each goes to a city of its own, with a model in each of
the four dialects that are served by one simulated provider, which never fails by itself. An answer must come in time,
be no failure of the server, refuse in OpenAI's error form, and where it succeeds be what the description says. Nothing
is left running. Exit code: 0, 1 with findings, 2 where the description cannot be read.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import requests  # the client of schemathesis
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.errors import SchemathesisError
from schemathesis.core.result import Err
from schemathesis.core.transport import Response

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # also when it is run by its path

from scripts.fuzzing.aims import AIMS, BREAKS, Aim, broken, led  # noqa: E402
from scripts.fuzzing.city import city  # noqa: E402
from scripts.fuzzing.contract import Contract, found  # noqa: E402
from scripts.fuzzing.description import SERVED, described, unusable  # noqa: E402
from scripts.fuzzing.report import Report, Row  # noqa: E402

TIMEOUT = 20.0
"""Seconds until the first byte and between two, after which a request counts as hanging."""


class Fuzzer:
    """Drives the operations of a description at one city."""

    def __init__(self, description: dict[str, Any], url: str, secret: str, examples: int, number: int) -> None:
        self.report = Report()
        self._description = description
        self._url = url
        self._headers = {"authorization": f"Bearer {secret}"}
        self._examples = examples
        self._seed = number
        self._kept: list[str] = []
        """Ids of responses that the city keeps."""

    def run(self) -> None:
        schema = schemathesis.openapi.from_dict(self._description)
        operations: dict[tuple[str, str], Any] = {}
        for result in schema.get_all_operations():
            if isinstance(result, Err):
                raise result.err()
            operation = result.ok()
            operations[operation.path, operation.method] = operation
        for path, methods in self._description["paths"].items():
            for method in SERVED[path]:
                if method in methods:
                    self._drive(operations[path, method])

    def _drive(self, operation: Any) -> None:
        row = self.report.rows[operation.label] = Row(operation.label)
        contract = Contract(self._description, operation.path, operation.method)
        self._unauthenticated(operation)

        def judge(case: Case[Any], content: bytes | None = None) -> None:
            self._judge(row, case, contract, content)

        legal = operation.as_strategy(GenerationMode.POSITIVE)
        self._each(st.builds(self._aim, legal, AIMS), judge)
        with suppress(Unsatisfiable):  # there is nothing in it that could be wrong
            self._each(st.builds(self._aim, operation.as_strategy(GenerationMode.NEGATIVE), AIMS), judge)
        if operation.body:
            self._each(st.tuples(st.builds(self._aim, legal, AIMS), BREAKS), lambda pair: judge(*broken(*pair)), 4)

    def _each(self, strategy: st.SearchStrategy[Any], act: Callable[[Any], None], share: int = 1) -> None:
        @seed(self._seed)
        @settings(
            max_examples=max(self._examples // share, 1),
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def drive(value: Any) -> None:
            act(value)

        drive()

    def _aim(self, case: Case[Any], aim: Aim) -> Case[Any]:
        """Most made-up names lead nowhere: have a request meet a model and a response that are there, and leave out
        some of what the description allows, so that it gets further than to the first refusal."""
        if isinstance(case.body, dict):
            case.body = led(case.path, case.body, aim)
        if aim.there and "model" in case.path_parameters:
            case.path_parameters = {**case.path_parameters, "model": aim.model}
        if aim.there and "response_id" in case.path_parameters and self._kept:
            case.path_parameters = {**case.path_parameters, "response_id": self._kept[aim.index % len(self._kept)]}
        return case

    def _unauthenticated(self, operation: Any) -> None:
        path = re.sub(r"\{[^}]*\}", "any", operation.path)
        answer = httpx2.request(operation.method.upper(), f"{self._url}{path}", timeout=TIMEOUT)
        if answer.status_code != 401:
            self.report.find(operation.label, f"status {answer.status_code} without a key", path, answer.text)

    def _judge(self, row: Row, case: Case[Any], contract: Contract, content: bytes | None) -> None:
        asked = (
            f"{case.method} {case.formatted_path} {case.query or ''} {content if content is not None else case.body!r}"
        )
        more: dict[str, Any] = {} if content is None else {"data": content, "json": None}
        headers = {**self._headers, **({} if content is None else {"content-type": "application/json"})}
        began = time.monotonic()
        try:
            response = Response.from_any(case.call(self._url, headers=headers, timeout=TIMEOUT, **more))
        except requests.Timeout:
            self.report.find(row.operation, f"no answer within {TIMEOUT:g} seconds", asked)
            return
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError):
            return  # the client cannot say it
        except requests.RequestException as error:
            self.report.find(row.operation, f"the connection broke: {type(error).__name__}", asked)
            return
        row.requests += 1
        row.statuses[response.status_code] += 1
        row.slowest = max(row.slowest, (time.monotonic() - began) * 1000)
        for what in found(response, contract, content is not None):
            self.report.find(row.operation, what, asked, response.content[:2000].decode(errors="replace"))
        self._keep(case, response)

    def _keep(self, case: Case[Any], response: Response) -> None:
        if response.status_code == 200 and case.path == "/responses" and len(self._kept) < 1000:
            self._kept += re.findall(r'"id":\s*"(resp_\w+)"', response.content[:2000].decode(errors="replace"))[:1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--spec", type=Path, required=True, help="OpenAI's description of its API, as JSON")
    parser.add_argument("--examples", type=int, default=100, help="requests of each kind per operation (100)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same requests (1)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    description = described(options.spec)
    defects: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pharos-fuzz-") as home:
        with city(Path(home), defects) as (url, secret):
            fuzzer = Fuzzer(description, url, secret, options.examples, options.seed)
            try:
                fuzzer.run()
            except SchemathesisError as error:
                raise unusable(f"{options.spec}: {error}") from None
        report = fuzzer.report
    for defect in defects:
        report.find("log", defect, "")
    if options.json:
        print(report.to_json())
    else:
        report.show()
        print(f"\n{sum(row.requests for row in report.rows.values())} requests, {len(report.findings)} findings")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
