"""Where the city is and with which key: explicit, environment, key file; and where the key file must not go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pharos.client.target import DEFAULT_URL, find_target
from pharos.core.fault import Fault


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / ".pharos").mkdir()
    (tmp_path / ".pharos" / "admin.key").write_text("from-file\n")
    return tmp_path


def test_an_explicit_value_wins(directory: Path) -> None:
    environ = {"PHAROS_URL": "http://other:1", "PHAROS_KEY": "from-env"}
    found = find_target("http://127.0.0.1:9/", "mine", environ=environ, directory=directory)
    assert (found.url, found.key, found.key_source) == ("http://127.0.0.1:9", "mine", "argument")


def test_then_the_environment(directory: Path) -> None:
    environ = {"PHAROS_URL": "https://city.example", "PHAROS_KEY": "from-env"}
    found = find_target(environ=environ, directory=directory)
    assert (found.url, found.key, found.key_source) == ("https://city.example", "from-env", "PHAROS_KEY")


def test_then_the_city_of_this_directory(directory: Path) -> None:
    found = find_target(environ={}, directory=directory)
    assert (found.url, found.key) == (DEFAULT_URL, "from-file")
    assert found.key_source.endswith("admin.key")


@pytest.mark.parametrize("url", ["https://city.example", "http://10.0.0.1:7700", "http://127.0.0.1.example:7700"])
def test_the_key_of_this_directory_goes_to_no_other_host(directory: Path, url: str) -> None:
    found = find_target(url, environ={}, directory=directory)
    assert found.key is None
    assert found.key_source == "none"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_an_unreadable_key_file_is_no_key(directory: Path, content: bytes) -> None:
    (directory / ".pharos" / "admin.key").write_bytes(content)
    assert find_target(environ={}, directory=directory).key is None


@pytest.mark.parametrize("url", ["city", "ftp://city", "http://", "http://city:port", "http://[::1", "127.0.0.1:7700"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Fault) as refused:
        find_target(url, environ={})
    assert refused.value.code == "INVALID_ADDRESS"
    assert ("Did you mean http://" in str(refused.value)) == (url in {"city", "127.0.0.1:7700"})


def test_a_target_does_not_show_its_key() -> None:
    assert "hidden" not in repr(find_target("http://city", "hidden", environ={}))
