"""The form of secrets, the pepper, and private files."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharos.core.fault import Fault
from pharos.trust.private_files import read_private, write_private
from pharos.trust.secrets import PEPPER_FILE, SECRET_PATTERN, Pepper, credential_of, load_pepper, mint

PEPPER = Pepper(bytes(range(32)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_names_its_credential_and_is_found_in_text() -> None:
    minted = mint(PEPPER)
    assert credential_of(minted.secret) == minted.credential
    found = SECRET_PATTERN.findall(f'{{"authorization": "Bearer {minted.secret}"}}')
    assert found == [minted.secret]
    assert len(minted.secret.rpartition("_")[2]) == 43  # 256 bits of [A-Za-z0-9]


def test_secrets_do_not_repeat() -> None:
    minted = [mint(PEPPER) for _ in range(2000)]
    assert len({m.secret for m in minted}) == len({m.credential for m in minted}) == 2000


def test_the_digest_is_hmac_sha256_under_the_pepper() -> None:
    minted = mint(PEPPER)
    assert minted.digest == hmac.new(bytes(range(32)), minted.secret.encode(), hashlib.sha256).digest()
    assert Pepper(bytes(32)).digest(minted.secret) != minted.digest


def test_neither_pepper_nor_secret_is_shown() -> None:
    minted = mint(PEPPER)
    assert minted.secret not in repr(minted) and minted.digest.hex() not in repr(minted)
    assert bytes(range(32)).hex() not in repr(PEPPER)


@given(st.text() | st.from_regex(SECRET_PATTERN, fullmatch=True))
def test_any_text_is_taken_for_a_secret_or_not_without_an_error(text: str) -> None:
    credential = credential_of(text)
    assert credential is None or text.startswith(f"ph_{credential}")


def test_the_pepper_is_made_once_and_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        first = load_pepper(tmp_path)
    finally:
        os.umask(old)
    assert mode(tmp_path / PEPPER_FILE) == 0o600
    assert load_pepper(tmp_path).digest("x") == first.digest("x")
    assert [path.name for path in tmp_path.iterdir()] == [PEPPER_FILE]


def test_a_damaged_pepper_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / PEPPER_FILE).write_bytes(b"short")
    with pytest.raises(Fault) as caught:
        load_pepper(tmp_path)
    assert caught.value.code == "PEPPER_DAMAGED"
    assert (tmp_path / PEPPER_FILE).read_bytes() == b"short"


def test_what_a_crash_left_of_a_private_file_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".pepper.new").write_bytes(b"half")
    load_pepper(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [PEPPER_FILE]


def test_a_private_file_that_others_can_read_is_closed_to_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "it"
    write_private(path, b"secret-bytes")
    path.chmod(0o644)
    assert read_private(path) == b"secret-bytes"
    assert mode(path) == 0o600
    assert "open to others" in caplog.text and "secret-bytes" not in caplog.text


def test_a_private_file_is_not_followed_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x")
    (tmp_path / "it").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic|loop|link"):
        read_private(tmp_path / "it")
    write_private(tmp_path / "it", b"mine")
    assert (tmp_path / "elsewhere").read_bytes() == b"x" and not (tmp_path / "it").is_symlink()


def test_keys_are_derived_from_the_pepper_for_one_purpose_each(tmp_path: Path) -> None:
    pepper = load_pepper(tmp_path)
    key = pepper.derived("marks")
    assert len(key) == 32 and load_pepper(tmp_path).derived("marks") == key
    others = {key, pepper.derived("other"), pepper.digest("marks"), bytes.fromhex(pepper.fingerprint())}
    assert len(others) == 4
    (tmp_path / "pepper").unlink()
    assert load_pepper(tmp_path).fingerprint() != pepper.fingerprint()
