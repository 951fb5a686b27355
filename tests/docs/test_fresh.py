"""What is generated from the code says what the code says: the typed client, its description, the reference pages."""

from __future__ import annotations

import re
from difflib import unified_diff
from itertools import islice
from pathlib import Path

import pytest
from scripts import generate_client, generate_docs
from scripts.output import ROOT, stale
from scripts.survey import Survey, survey

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def city() -> Survey:
    return survey()


def _assert_fresh(files: dict[Path, str], owned: Path) -> None:
    lines: list[str] = []
    for path in stale(files, [owned]):
        name = str(path.relative_to(ROOT))
        present = path.read_text("utf-8").splitlines() if path.exists() else []
        lines += islice(
            unified_diff(present, files.get(path, "").splitlines(), name, "generated", lineterm="", n=1), 20
        )
    assert not lines, "run `make docs` and commit what it writes:\n" + "\n".join(lines)


def test_the_typed_client_is_fresh(city: Survey) -> None:
    _assert_fresh(generate_client.files(city.operations, city.kinds), generate_client.GENERATED)


def test_the_reference_pages_are_fresh(city: Survey) -> None:
    _assert_fresh(generate_docs.files(city), generate_docs.REFERENCE)


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    text = re.sub(r"`[^`\n]*`", "code", text)  # a pattern is no link
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if fragment and file.suffix == ".md":
            assert fragment in _anchors(file), f"{page.name}: {target}"


def test_the_architecture_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = {
        name.rstrip("/") for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall("`(.*?)`", row)
    }
    source = ROOT / "src" / "pharos"
    rooms = {
        str(room.parent.relative_to(source))
        for room in [*source.glob("*/__init__.py"), *source.glob("*/*/__init__.py")]
        if len([*room.parent.glob("*.py")]) > 1
    }
    inside = {"client/generated", "runtime"}  # written by a program; all of it in the rooms below
    assert named & rooms == rooms - inside
    assert {name for name in named if "/" in name} <= rooms, "a room that is not there"


def test_every_how_to_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "how-to" / "README.md"
    assert set(LINK.findall(index.read_text("utf-8"))) >= {page.name for page in index.parent.glob("*.md")} - {
        index.name
    }


def _anchors(page: Path) -> set[str]:
    from scripts.reference.members import anchor

    return {anchor(title.strip().replace("`", "")) for title in re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)}
