"""A secret reaches the command line from a file or standard input, never as one of its words; a document from all."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest

from pharos.client.description import descriptions
from pharos.server.cli.types import DocumentType, SecretType
from pharos.server.cli.values import click_parameters


def test_a_secret_is_read_where_nobody_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    assert SecretType().convert(f"@{file}", None, None) == "sk-file"
    for word in ("-", "@-"):
        monkeypatch.setattr("sys.stdin", io.StringIO("sk-stdin\n"))
        assert SecretType().convert(word, None, None) == "sk-stdin"
    with pytest.raises(click.BadParameter, match="can be seen by others") as caught:
        SecretType().convert("sk-word", None, None)
    assert "sk-word" not in str(caught.value)
    with pytest.raises(click.BadParameter, match="No such file"):
        SecretType().convert(f"@{tmp_path / 'none'}", None, None)


def test_the_content_of_a_file_comes_as_it_is_or_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bill.csv"
    file.write_text("Date,Cost\n")
    assert DocumentType().convert(f"@{file}", None, None) == DocumentType().convert("Date,Cost\n", None, None)
    monkeypatch.setattr("sys.stdin", io.StringIO("Cost\n"))
    assert DocumentType().convert("@-", None, None) == "Cost\n"
    with pytest.raises(click.BadParameter, match="No such file"):
        DocumentType().convert(f"@{tmp_path / 'none'}", None, None)
    for operation in ("ledger.reconcile", "models.import"):
        assert next(place.metavar for place in click_parameters(descriptions()[operation])) == "@FILE"
