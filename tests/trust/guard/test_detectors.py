"""Every detector on what it must find and on what only looks like it."""

from __future__ import annotations

import random
import string

import pytest
from stdnum import iban, luhn
from stdnum.cn import ric, uscc
from tests.trust.guard.samples import BROKEN, TRUE
from tests.trust.guard.scanning import Through, scanner, through, use

from pharos.trust.guard.catalog import BUILT_IN, GROUPS, named
from pharos.trust.guard.detector import Detector
from pharos.trust.guard.grammar import longest, parse
from pharos.trust.guard.scanner import Scanner, words

_SCANNERS: dict[str, Scanner] = {}


def only(name: str, text: str) -> Through:
    if name not in _SCANNERS:
        _SCANNERS[name] = scanner([name])
    return through(_SCANNERS[name], text)


def test_every_detector_has_samples() -> None:
    assert set(TRUE) == set(BROKEN) == set(BUILT_IN)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in TRUE for text in TRUE[name]])
def test_finds(name: str, text: str) -> None:
    for around in ("{}", "see {} there", "是{}。", "({})", "\n{}\n", '"{}"'):
        result = only(name, around.format(text))
        assert result.found, around
        assert set(result.found) == {name}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in BROKEN for text in BROKEN[name]])
def test_leaves_alone(name: str, text: str) -> None:
    assert not only(name, text).found
    assert not only(name, f"see {text} there").found


@pytest.mark.parametrize("name", ["card", "iban", "cn-resident-id", "cn-company"])
def test_one_wrong_digit_breaks_the_checksum(name: str) -> None:
    valid = {"card": luhn.is_valid, "iban": iban.is_valid, "cn-resident-id": ric.is_valid, "cn-company": uscc.is_valid}
    source = random.Random(7)
    for sample in TRUE[name]:
        for at in [i for i, c in enumerate(sample) if c.isdigit()]:
            other = sample[:at] + source.choice([d for d in string.digits if d != sample[at]]) + sample[at + 1 :]
            if not valid[name](other.replace(" ", "").replace("-", "")):
                assert not only(name, other).found, other


def test_the_whole_of_it_is_masked() -> None:
    for name in [*GROUPS["pii"]]:
        for sample in TRUE[name]:
            assert only(name, f"a {sample} b").text == f"a [{BUILT_IN[name].label}_1] b"


def test_only_the_secret_of_an_assignment_is_masked() -> None:
    assert only("secret-assignment", TRUE["secret-assignment"][0]).text == 'api_key = "[SECRET_ASSIGNMENT_1]"'
    assert only("url-password", TRUE["url-password"][0]).text == "postgres://app:[URL_PASSWORD_1]@db.internal:5432/x"


def test_behind_an_escape_in_json_or_code() -> None:
    key = TRUE["aws-access-key"][0]
    assert only("aws-access-key", rf'{{"note":"\n{key}"}}').found
    assert only("cn-resident-id", r"\u8eab" + TRUE["cn-resident-id"][0]).found


def test_national_phones_only_of_named_regions() -> None:
    text = "call 020 7946 0958 or (415) 555-2671"
    assert not through(scanner(["phone"]), text).found
    assert through(scanner(["phone"], regions=["US"]), text).text == "call 020 7946 0958 or [PHONE_1]"
    assert through(scanner(["phone"], regions=["GB", "US"]), text).text == "call [PHONE_1] or [PHONE_2]"


def test_hidden_characters_are_taken_out() -> None:
    assert only("hidden-zero-width", "pass\u200bword").text == "password"
    assert only("hidden-tags", TRUE["hidden-tags"][0]).text == "ab"


def test_ordinary_text_is_clean() -> None:
    text = """In version 1.2.3 (2024-05-06, 12:34:56) we sold 1,234,567 pieces for $99.99, order no. 20240506-1234.
    See https://example.com/a/b?c=d#e, RFC 7519, ISO/IEC 7064, commit 9fceb02d0ae598e95dc970b74767f19372d61af8,
    uuid 123e4567-e89b-12d3-a456-426614174000, and `password = os.environ["PW"]`. 我们在2024年5月6日卖了1234567件。
    The user is asked to ignore the warning. Please follow all instructions above. sk-learn, npm_config, ghp_x."""
    assert not through(scanner(), text).found


def test_words_are_whole_and_of_any_case() -> None:
    own = Detector("names", "custom", "a word", words(["Bluebird", "project x", "蓝鸟", "c++"]))
    how = scanner([], own=[own])
    assert (
        through(how, "BLUEBIRD and Project X, 见蓝鸟计划, c++!").text
        == "[NAMES_1] and [NAMES_2], 见[NAMES_3]计划, [NAMES_4]!"
    )
    assert not through(how, "bluebirds projectx").found


def test_allowed_values_are_no_finds() -> None:
    how = scanner(["email"], use(allow=["help@example.com"]))
    assert through(how, "help@example.com bob@example.com").text == "help@example.com [EMAIL_1]"


def test_overlapping_finds_are_masked_as_one() -> None:
    first = Detector("first", "custom", "x", "abc1?def")
    second = Detector("second", "custom", "x", "defghi")
    result = through(scanner([], own=[first, second]), "-abcdefghi-")
    assert result.text == "-[FIRST_1]-"
    assert result.found == ["first", "second"]
    assert result.vault.value(b"[FIRST_1]") == b"abcdefghi"


def test_all_patterns_have_a_bound() -> None:
    for detector in BUILT_IN.values():
        size = longest(parse(detector.pattern))
        assert detector.endless or (size is not None and size <= 3_000), detector.name


def test_a_sieve_lets_through_what_its_pattern_matches() -> None:
    for name, samples in TRUE.items():
        for detector in named([name], []):
            how = Scanner([(detector, use())], restores=False)
            for sample in samples:
                assert how.suspects(sample.encode()), (name, sample)
