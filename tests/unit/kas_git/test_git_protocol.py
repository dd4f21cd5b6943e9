"""Asking where refs are, in the bytes of Git's protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kas.git.protocol import ProtocolError, parse_refs, refs_request, tells_refs
from kas.git.smart_http import same_server

ONE, TWO = "1" * 40, "2" * 40


def lines(*texts: str | bytes) -> bytes:
    data = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return b"".join(b"%04x%b" % (len(one) + 4, one) for one in data)


def test_a_request_names_each_ref() -> None:
    assert refs_request(["HEAD", "refs/heads/main"]) == (
        b"0014command=ls-refs\n0016object-format=sha10001"
        + lines("ref-prefix HEAD\n", "ref-prefix refs/heads/main\n")
        + b"0000"
    )


def test_of_what_is_answered_only_what_was_asked_for_counts() -> None:
    answer = lines(
        f"{ONE} HEAD symref-target:refs/heads/main\n",
        f"{ONE} refs/heads/main\n",
        f"{TWO} refs/heads/main2\n",
        f"{TWO} refs/tags/v1 peeled:{ONE}\n",
    )
    names = ["HEAD", "refs/heads/main", "refs/heads/gone", "refs/tags/v1"]
    assert parse_refs(answer + b"0000", names) == {"HEAD": ONE, "refs/heads/main": ONE, "refs/tags/v1": TWO}


def test_an_empty_repository_has_no_refs() -> None:
    assert parse_refs(b"0000", ["HEAD"]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        lines(f"{ONE} HEAD\n"),
        lines("<html>\n") + b"0000",
        b"<html>",
        b"zzzz",
        b"0003",
        b"-001",
        b"fff0short",
        b"00",
        lines("ERR no such repository\n") + b"0000",
    ],
)
def test_what_is_no_whole_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_refs(answer, ["HEAD"])


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(answer: bytes) -> None:
    try:
        assert set(parse_refs(answer, ["HEAD"])) <= {"HEAD"}
    except ProtocolError:
        assert not tells_refs(answer) or answer


@pytest.mark.parametrize(
    ("said", "tells"),
    [
        (lines("# service=git-upload-pack\n") + b"0000" + lines("version 2\n", "ls-refs=unborn\n") + b"0000", True),
        (lines("version 2\n", "ls-refs\n", "object-format=sha1\n") + b"0000", True),
        (lines("version 2\n", "ls-refs\n", "object-format=sha256\n") + b"0000", False),
        (lines("version 2\n", "fetch\n") + b"0000", False),
        (lines(f"{ONE} HEAD\0multi_ack\n") + b"0000", False),
        (b"<html>", False),
    ],
)
def test_a_server_says_whether_it_answers(said: bytes, *, tells: bool) -> None:
    assert tells_refs(said) is tells


@pytest.mark.parametrize(
    ("location", "found"),
    [
        (
            "https://git.example.com/new/name.git/info/refs?service=git-upload-pack",
            "https://git.example.com/new/name.git",
        ),
        ("/new/name.git/info/refs?service=git-upload-pack", "https://git.example.com/new/name.git"),
        ("https://evil.example.com/new/name.git/info/refs?service=git-upload-pack", None),
        ("http://git.example.com/new/name.git/info/refs?service=git-upload-pack", None),
        ("https://git.example.com:8443/new/name.git/info/refs?service=git-upload-pack", None),
        ("https://user@git.example.com/new/name.git/info/refs?service=git-upload-pack", None),
        ("//evil.example.com/new.git/info/refs?service=git-upload-pack", None),
        ("/users/sign_in", None),
        ("/a b.git/info/refs?service=git-upload-pack", None),
        ("/old.git/info/refs?service=git-upload-pack", None),
        ("", None),
    ],
)
def test_a_redirect_counts_on_the_same_server_only(location: str, found: str | None) -> None:
    assert same_server("https://git.example.com/old.git", location) == found
