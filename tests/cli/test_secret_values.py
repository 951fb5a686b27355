"""A secret reaches the command line from a file or standard input, never as one of its words."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest

from pharos.server.cli.types import SecretType


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
