"""What guards cost: microseconds for 8 KB of text, clean and with finds in it.

    python benchmarks/guard.py

All built-in detectors at once. Beside it, in the same run, the standard library's ``re`` with the same patterns one
after the other: what the prefilter saves.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from pharos.gateway.models.guarding.examination import Examination
from pharos.gateway.models.guarding.registry import TEXTS
from pharos.trust.guard.catalog import BUILT_IN, GROUPS, named
from pharos.trust.guard.findings import Findings
from pharos.trust.guard.kinds import DIRECTIONS
from pharos.trust.guard.policy import Policy
from pharos.trust.guard.scanner import Allowed, Scanner, Use
from pharos.trust.guard.text_stream import Place, Rewriter, TextStream
from pharos.trust.guard.vault import Vault

SIZE = 8 * 1024
FINDS = ["bob@example.com", "4111 1111 1111 1111", "DE89370400440532013000", "+49 30 901820"]


def measure(run: Callable[[], object], seconds: float = 0.5) -> float:
    """Microseconds of CPU for one run: the best of several batches."""
    run()
    count, best = 1, float("inf")
    while True:
        start = time.process_time()
        for _ in range(count):
            run()
        spent = time.process_time() - start
        best = min(best, spent / count)
        if spent > seconds / 5:
            break
        count *= 2
    for _ in range(4):
        start = time.process_time()
        for _ in range(count):
            run()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6


def main() -> None:
    """Measure and print."""
    page = Path(__file__).parent.parent.joinpath("docs/architecture.md").read_text()
    text = (page * 4).encode()[:SIZE].decode(errors="ignore")
    use = Use("default/all", 0, "mask", frozenset(DIRECTIONS), False, Allowed((), ()))
    detectors = named(list(GROUPS), [])
    request, answer = (Scanner([(d, use) for d in detectors], restores=restores) for restores in (False, True))
    policy = Policy(("default/all",), request, answer, Scanner((), restores=True), True)

    def guarded(said: str) -> Callable[[], object]:
        body = {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": said}],
        }
        raw = orjson.dumps(body)
        return lambda: Examination(policy, TEXTS["openai-chat"]).request(raw, body)

    found = text
    for place, find in enumerate(FINDS):
        at = (place + 1) * SIZE // 5
        found = f"{found[:at]} {find} {found[at:]}"
    place = Place("/x", "answer", frozenset({"answer"}), False)
    tokens = [word.encode() + b" " for word in text.split(" ")]

    def stream() -> None:
        rewriter = Rewriter(TextStream(answer, place, Findings(), Vault()))
        for token in tokens:
            rewriter.feed(token)
        rewriter.end()

    sieve = measure(lambda: request.suspects(text.encode()))
    clean = measure(guarded(text))
    hit = measure(guarded(found))
    streamed = measure(stream)
    patterns = [re.compile(d.pattern) for d in BUILT_IN.values() if "\\x{" not in d.pattern and "(?i" not in d.pattern]
    library = measure(lambda: [pattern.search(text) for pattern in patterns])
    for what, value in (
        ("8 KB clean, the set of sieves", sieve),
        ("8 KB clean, a whole request (bound: 100)", clean),
        (f"8 KB with {len(FINDS)} finds, masked", hit),
        ("of that for each find", (hit - clean) / len(FINDS)),
        (f"a streamed word, of {len(tokens)}", streamed / len(tokens)),
        (f"the standard library, {len(patterns)} of the {len(detectors)} patterns", library),
    ):
        print(f"{what:50} {value:8.1f} us")


if __name__ == "__main__":
    main()
