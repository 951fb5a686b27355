"""A page of documentation as the script that its reader would run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.M | re.S)
_FILE = re.compile(r"`([\w./-]+\.(?:yaml|yml|json|py|txt|env))`")
_PORT = re.compile(r"(?<!\d)(7700|90\d\d)(?!\d)")

RUN = frozenset({"bash", "python", "yaml", "json"})
SHOWN = frozenset({"text", ""})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    body: str
    line: int
    file: str
    """The file it is the content of, where the sentence before it names one."""


def blocks(text: str) -> list[Block]:
    """The blocks of a page, in order."""
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.M)
        paragraph = text[: match.start()].rstrip().rpartition("\n\n")[2]
        names = [] if "```" in paragraph else _FILE.findall(paragraph)
        found.append(Block(match["language"], body, line, names[-1] if names else ""))
    return found


def ports_in(text: str) -> set[str]:
    """The well-known ports a page speaks of."""
    return {"7700", *_PORT.findall(text)}


def script(page: Path, text: str, ports: Mapping[str, int]) -> str:
    """The page as one bash script, its ports replaced."""
    lines = ["set -Eeuo pipefail", f"trap 'echo \"{page.name}:$PAGE_LINE: this block failed\" >&2' ERR"]
    for block in blocks(text):
        body = _PORT.sub(lambda match: str(ports[match[0]]), block.body)
        lines.append(f"PAGE_LINE={block.line}")
        if block.language == "bash":
            lines.append(body)
        elif block.language == "python":
            name = block.file or f"line_{block.line}.py"
            lines += [_saved(name, body), f"python {shlex.quote(name)}"]
        elif block.language == "yaml" and block.file:
            lines.append(_saved(block.file, body))
    return "\n".join(lines) + "\n"


def _saved(name: str, body: str) -> str:
    folder = shlex.quote(str(Path(name).parent))
    return f"mkdir -p {folder}; cat > {shlex.quote(name)} <<'END_OF_BLOCK'\n{body}END_OF_BLOCK"
