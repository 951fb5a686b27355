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
import json
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
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

import pharos

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # also when it is run by its path

from scripts.children import PHAROS, free_port, running  # noqa: E402
from scripts.contract import Contract, found  # noqa: E402

SERVED: Mapping[str, Sequence[str]] = {
    "/chat/completions": ("post",),
    "/embeddings": ("post",),
    "/models": ("get",),
    "/models/{model}": ("get",),
    "/responses": ("post",),
    "/responses/input_tokens": ("post",),
    "/responses/{response_id}/input_items": ("get",),
    "/responses/{response_id}": ("get", "delete"),
}
"""What the city serves of that API; what is deleted comes last."""

MODELS = ("chat", "responses", "messages", "gemini")
"""One for each dialect of a provider."""

TIMEOUT = 20.0
"""Seconds until the first byte and between two, after which a request counts as hanging."""

_PROVIDERS = {
    "chat": ("openai-chat", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "messages": ("anthropic", ""),
    "gemini": ("gemini", ""),
}

_SCRIPT = """\
rules:
  - answers:
      - "You said: ${lastUser}"
      - {thinking: Let me see., text: "Seen."}
      - {json: {seen: true}}
      - {text: "", finish: stop}
      - {toolCalls: [{name: look, arguments: {at: "it"}}]}
      - {text: A long one., finish: length}
      - {text: "", finish: filter}
    afterwards: cycle
"""


@dataclass
class Row:
    """One operation in the summary."""

    operation: str
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    """Milliseconds."""
    findings: int = 0


@dataclass
class Finding:
    """Answers that are wrong in the same way."""

    operation: str
    what: str
    request: str
    answer: str
    times: int = 1


@dataclass
class Report:
    """Everything a run has seen."""

    rows: dict[str, Row] = field(default_factory=dict)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def find(self, operation: str, what: str, request: str, answer: str = "") -> None:
        """Note a finding; of those alike the shortest request is kept."""
        alike = re.sub(r"\d+|'[^']*'|\"[^\"]*\"|\b(call|resp|msg|rs)_\w+", "…", what)[:200]
        finding = self.findings.setdefault((operation, alike), Finding(operation, what, request, answer, 0))
        finding.times += 1
        if len(request) < len(finding.request):
            finding.request, finding.answer, finding.what = request, answer, what
        if (row := self.rows.get(operation)) is not None:
            row.findings += 1

    def to_json(self) -> str:
        rows = [
            {
                "operation": row.operation,
                "requests": row.requests,
                "statuses": {str(status): count for status, count in sorted(row.statuses.items())},
                "slowestMs": round(row.slowest, 1),
                "findings": row.findings,
            }
            for row in self.rows.values()
        ]
        return json.dumps({"operations": rows, "findings": [vars(found) for found in self.findings.values()]}, indent=2)

    def show(self) -> None:
        """A table, and below it each finding with its shortest request."""
        print(f"{'operation':<44}{'requests':>9}{'2xx':>7}{'4xx':>7}{'5xx':>7}{'slowest':>11}{'findings':>10}")
        for row in self.rows.values():
            shares = [sum(n for status, n in row.statuses.items() if status // 100 == class_) for class_ in (2, 4, 5)]
            cells = "".join(f"{share:>7}" for share in shares)
            print(f"{row.operation:<44}{row.requests:>9}{cells}{row.slowest:>8.0f} ms{row.findings:>10}")
        for finding in self.findings.values():
            print(f"\n{finding.operation}, {finding.times} times: {finding.what}")
            print(f"  request: {finding.request[:1500]}\n  answer:  {finding.answer[:800]}")


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
        self._each(st.builds(self._aim, legal, _AIMS), judge)
        with suppress(Unsatisfiable):  # there is nothing in it that could be wrong
            self._each(st.builds(self._aim, operation.as_strategy(GenerationMode.NEGATIVE), _AIMS), judge)
        if operation.body:
            self._each(st.tuples(st.builds(self._aim, legal, _AIMS), _BREAKS), lambda pair: judge(*_broken(*pair)), 4)

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

    def _aim(self, case: Case[Any], aim: _Aim) -> Case[Any]:
        """Most made-up names lead nowhere: have a request meet a model and a response that are there, and leave out
        some of what the description allows, so that it gets further than to the first refusal."""
        if isinstance(case.body, dict):
            case.body = self._led(case.path, case.body, aim)
        if aim.there and "model" in case.path_parameters:
            case.path_parameters = {**case.path_parameters, "model": aim.model}
        if aim.there and "response_id" in case.path_parameters and self._kept:
            case.path_parameters = {**case.path_parameters, "response_id": self._kept[aim.index % len(self._kept)]}
        return case

    @staticmethod
    def _led(path: str, body: dict[str, Any], aim: _Aim) -> dict[str, Any]:
        """The body, as ``aim`` says."""
        led = dict(body)
        needed = {"model", *_PLAIN.get(path, ())}
        if aim.kept != "all":
            others = sorted(name for name in body if name not in needed)
            chosen = others[aim.index % len(others)] if others and aim.kept == "one" else ""
            led = {name: value for name, value in led.items() if name in needed or name in (chosen, "stream")}
        if aim.plain:
            led |= _PLAIN.get(path, {})
        elif aim.there:
            led = {**_PLAIN.get(path, {}), **led}
        return led | {"model": aim.model} if aim.there else led

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


@dataclass(frozen=True)
class _Aim:
    """Where a made-up request is led, so that it gets further than to the first refusal."""

    model: str
    there: bool
    """It names a model, or a response, that exists."""
    kept: str
    """``all`` of its members, the needed ones and ``one`` more, or ``none`` but those."""
    plain: bool
    """What is said in it is plain text."""
    index: int


_AIMS = st.builds(
    _Aim,
    model=st.sampled_from(MODELS),
    there=st.sampled_from([True, True, True, False]),
    kept=st.sampled_from(["all", "one", "one", "none"]),
    plain=st.sampled_from([True, True, False]),
    index=st.integers(0, 999),
)

_PLAIN: Mapping[str, Mapping[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "/embeddings": {"input": "Hello"},
    "/responses": {"input": "Hello"},
    "/responses/input_tokens": {"input": "Hello"},
}

_Break = tuple[float, bytes, bool]
_BREAKS: st.SearchStrategy[_Break] = st.tuples(
    st.floats(0, 1), st.sampled_from([b"", b"\xff", b"\x00", b"{", b"]", b'"', b"\\ud800", b",", b"NaN"]), st.booleans()
)


def _broken(case: Case[Any], how: _Break) -> tuple[Case[Any], bytes]:
    """The body as text that is no JSON: bytes put into it at a place, or cut off there."""
    where, what, cut = how
    text = json.dumps(case.body, default=str).encode()
    place = int(where * len(text))
    text = text[:place] + what + (b"" if cut else text[place:])
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return case, text
    return case, text + b"}"


@contextmanager
def city(home: Path, report: list[str]) -> Iterator[tuple[str, str]]:
    """URL of a city's ``/v1`` and a key. What its log says of defects goes to ``report`` once it has ended."""
    script, manifest = home / "script.yaml", home / "city.yaml"
    script.write_text(_SCRIPT)
    ports = free_port(), free_port()
    manifest.write_text(_manifest(f"http://127.0.0.1:{ports[0]}"))
    url = f"http://127.0.0.1:{ports[1]}"
    with ExitStack() as stack:
        simulate = [*PHAROS, "simulate", "--quiet", "--script", str(script), "--port", str(ports[0])]
        stack.enter_context(running(simulate, f"http://127.0.0.1:{ports[0]}/v1/models", home / "simulator.log", {}))
        up = [*PHAROS, "up", "--home", str(home / "city"), "--port", str(ports[1]), "-f", str(manifest)]
        child = stack.enter_context(running(up, f"{url}/readyz", home / "city.log", {}))
        with pharos.Client(url, (home / "city" / "admin.key").read_text().strip()) as control:
            secret = control.keys.issue(key="fuzz").secret
        yield f"{url}/v1", secret
        child.send_signal(signal.SIGTERM)
        if (code := child.wait(30)) != 0:
            report.append(f"the city ended with exit code {code}")
    for name in ("city", "simulator"):
        log = (home / f"{name}.log").read_text(errors="replace")
        report += [f"{name}: {defect}" for defect in re.findall(r"(?:defect in call|Traceback)[\s\S]{0,1500}", log)[:5]]


def _manifest(simulator: str) -> str:
    documents: list[dict[str, Any]] = []
    for name, (dialect, path) in _PROVIDERS.items():
        documents += (
            _document("Provider", name, dialect=dialect, baseUrl=simulator + path, retries={"attempts": 1}),
            _document("Model", name, targets=[{"provider": name, "model": "sim-small"}]),
        )
    documents.append(_document("Key", "fuzz", models=list(_PROVIDERS)))
    return "---\n".join(json.dumps(document) + "\n" for document in documents)  # JSON is YAML


def _document(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "pharos/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def described(path: Path) -> dict[str, Any]:
    """The description, cut to what the city serves. Raises ``SystemExit`` where it is none."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise _unusable(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise _unusable(f"{path} is not JSON: {error}") from None
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise _unusable(f"{path} is not an OpenAPI 3 document")
    document["paths"] = {
        name: {key: value for key, value in paths[name].items() if key in methods or not _is_method(key)}
        for name, methods in SERVED.items()
        if name in paths
    }
    if not document["paths"]:
        raise _unusable(f"{path} describes none of {', '.join(SERVED)}")
    document.get("components", {}).pop("securitySchemes", None)
    cut: dict[str, Any] = _without(document, "discriminator", "security")  # the key is ours
    return cut


def _without(value: Any, *names: str) -> Any:
    """``value`` without these members anywhere. A discriminator that maps no values is none: its variants decide."""
    if isinstance(value, dict):
        return {name: _without(item, *names) for name, item in value.items() if not (name in names and _bare(item))}
    return [_without(item, *names) for item in value] if isinstance(value, list) else value


def _bare(item: Any) -> bool:
    """Not a property that happens to have the name."""
    return isinstance(item, list) or (isinstance(item, dict) and "propertyName" in item)


def _is_method(key: str) -> bool:
    return key in {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def _unusable(message: str) -> SystemExit:
    print(f"fuzz_openai: {message}", file=sys.stderr)
    return SystemExit(2)


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
                raise _unusable(f"{options.spec}: {error}") from None
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
