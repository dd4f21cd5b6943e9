"""Whatever stands where an address, a token, a ref, a duration, a size or a name belongs: that, or its own error."""

from __future__ import annotations

import itertools
import math
import subprocess
import unicodedata

import pytest
from pydantic_core import PydanticCustomError

from agentlink.address import AddressError, parse_kas_address
from agentlink.agent_token import TokenError, check_token
from agentlink.durations import parse_duration as parse_go_duration
from agentlink.manifests.model import printable_path
from kas.cli import text as cli_text
from kas.git.errors import GitError
from kas.git.refs import GitRef, RefKind, check_ref, commit_argument, mirror_name, server_name
from kas.reports.texts import inert
from kas.settings.values import format_duration, format_size, parse_address, parse_duration, parse_size
from tests.fuzz.inputs import fuzz, text

SECRET = "hunter2"
ADDRESSES = (
    b"wss://",
    b"grpc://",
    b"@",
    b":",
    b"hunter2@",
    b"[::1]",
    b"[",
    b"]",
    b"%25",
    b"/",
    b"?",
    b"#",
    b":0",
    b":65536",
    b"\n",
)
VALUES = (
    b"s",
    b"ms",
    b"1",
    b".",
    b"9" * 400,
    b"h",
    b"KiB",
    b"GiB",
    b":",
    b"[",
    b"]",
    b"-",
    b"+",
    b"e9",
    b"\xd9\xa1",
    b"inf",
    b"nan",
)


@fuzz("addresses", tokens=ADDRESSES)
def test_an_address_reads_back_as_it_is_written_or_is_refused(data: bytes) -> None:
    try:
        address = parse_kas_address(text(data))
    except AddressError:
        return
    assert address.host
    assert 0 < address.port <= 65535
    assert str(address).isprintable()
    assert parse_kas_address(str(address)) == address


BEFORE = ("wss://", "grpc://", "http://", "ftp://", "")
PASSWORDS = tuple(form.format(SECRET) for form in ("{}", "{}/x", "{}@y", "{}#", "{}?", "[{}", " {}"))
HOSTS = ("kas.example.com", "kas:99999", "ho\u2100st", "[::1", "kas:x", "kas/p", "kas#f", "")


def test_a_password_in_an_address_is_in_no_error() -> None:
    for before, password, host in itertools.product(BEFORE, PASSWORDS, HOSTS):
        with pytest.raises(AddressError) as refused:
            parse_kas_address(f"{before}user:{password}@{host}")
        assert SECRET not in str(refused.value)


@fuzz("tokens", tokens=(b"glagent-", b"glpat-", b"hunter2", b"\n", b"\xef\xbb\xbf", b"\x85", b"\xe2\x80\x8b"))
def test_a_token_is_one_plain_word_and_in_no_error(data: bytes) -> None:
    try:
        token = check_token(text(data), source="the file /x")
    except TokenError as error:
        assert SECRET not in str(error)
        return
    assert token in text(data)
    assert token.isascii()
    assert token.isprintable()
    assert " " not in token


@fuzz(
    "refs",
    tokens=(b"refs/heads/", b"..", b"@{", b".lock", b"-", b"/", b"~1", b"^", b":", b"*", b"\x7f", b"HEAD", b"@"),
    share=0.5,
)
def test_a_ref_is_one_for_git_too_and_never_an_option(data: bytes) -> None:
    ref = GitRef(RefKind.BRANCH, text(data))
    try:
        check_ref("group/project", ref)
    except GitError:
        return
    name = server_name(ref)
    assert not ref.name.startswith("-")
    assert (
        subprocess.run(["git", "check-ref-format", name.encode("utf-8", "surrogateescape")], check=False).returncode
        == 0
    )
    assert mirror_name("https://x", ref).isascii()


@fuzz("refs", tokens=(b"0123456789abcdef", b"^{tree}", b"--", b"HEAD", b"\n"))
def test_a_commits_argument_holds_digits_and_no_more(data: bytes) -> None:
    try:
        argument = commit_argument("group/project", text(data))
    except GitError as error:
        assert len(str(error)) < 1000
        return
    assert argument == f"{text(data)}^{{commit}}"
    assert set(text(data)) <= set("0123456789abcdef")


@fuzz("values", tokens=VALUES)
def test_a_duration_a_size_and_an_address_are_finite_or_refused(data: bytes) -> None:
    given = text(data)
    for parse in (parse_duration, parse_size, parse_address):
        try:
            value = parse(given)
        except PydanticCustomError:
            continue
        match value:
            case float():
                assert 0 < value < math.inf
                assert value < 0.001 or math.isclose(
                    parse_duration(format_duration(value)), value, rel_tol=1e-3, abs_tol=1e-3
                )
            case int():
                assert value > 0
                assert parse_size(format_size(value)) == value
            case _:
                assert parse_address(str(value)) == value
    try:
        seconds = parse_go_duration(given)
    except ValueError as error:
        assert str(error) == "expected a duration such as 3600s or 1h30m"
    else:
        assert 0 <= seconds < math.inf


@fuzz(
    "characters",
    tokens=(
        b"\x1b]8;;",
        b"\xe2\x80\xae",
        b"\xe2\x81\xa6",
        b"\xc2\x9b",
        b"\xe2\x80\xa8",
        b"\xf3\xa0\x80\x81",
        b"\xef\xbb\xbf",
    ),
)
def test_no_character_acts_after_it_was_written_out(data: bytes) -> None:
    for given in (text(data), data.decode("utf-8", "surrogatepass") if b"\xed" in data and _passes(data) else ""):
        for made in (inert(given, 100), cli_text.inert(given), cli_text.inert_line(given), printable_path(given)):
            assert {unicodedata.category(one) for one in made}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
            made.encode()
        assert len(inert(given, 100)) <= 100
        assert set(inert(given, 100, lines=True)) & set("\x1b\x9b\u202e\u2028\r") == set()
        cli_text.json_text({given: given}).encode()


def _passes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
