"""What a run has seen: requests by operation, and answers that are wrong, each kind once."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field


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
