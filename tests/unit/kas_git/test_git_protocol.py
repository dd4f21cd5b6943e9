"""Asking where refs are and for what is there, in the bytes of Git's protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kas.git.protocol import PackAnswer, ProtocolError, gives_packs, pack_request, parse_refs, refs_request, tells_refs
from kas.git.smart_http import in_same_group, same_server

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
    ("said", "gives"),
    [
        (lines("version 2\n", "ls-refs\n", "fetch=shallow wait-for-done filter\n") + b"0000", True),
        (lines("version 2\n", "ls-refs\n", "fetch=shallow\n", "object-format=sha256\n") + b"0000", False),
        (lines("version 2\n", "ls-refs\n", "fetch\n") + b"0000", False),
        (lines("version 2\n", "ls-refs\n") + b"0000", False),
        (b"", False),
    ],
)
def test_a_server_says_whether_it_gives_packs(said: bytes, *, gives: bool) -> None:
    assert gives_packs(said) is gives


def test_a_request_for_a_pack_says_what_is_here_and_asks_for_nothing_else() -> None:
    request = pack_request([ONE], [TWO], ["3" * 40], without_history=True)
    assert request == b"".join(
        [
            *(b"0012command=fetch\n", b"0016object-format=sha1", b"0001"),
            *(b"000ethin-pack\n", b"0010no-progress\n", b"000eofs-delta\n"),
            lines(f"shallow {'3' * 40}\n", "deepen 1\n", f"want {ONE}\n", f"have {TWO}\n", "done\n"),
            b"0000",
        ]
    )
    assert b"deepen" not in pack_request([ONE], [], [], without_history=False)


ANSWER = b"".join(
    [
        *(lines("shallow-info\n", f"shallow {ONE}\n"), b"0001"),
        *(lines("packfile\n", b"\x01PACK", b"\x02words for people", b"\x01 and more"), b"0000"),
    ]
)


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_a_pack_is_taken_out_of_its_answer_however_that_is_cut(step: int) -> None:
    answer = PackAnswer()
    pieces = [answer.feed(ANSWER[at : at + step]) for at in range(0, len(ANSWER), step)]
    assert (b"".join(pieces), answer.shallow, answer.whole) == (b"PACK and more", [ONE], True)


def test_an_answer_that_is_cut_off_is_not_whole() -> None:
    answer = PackAnswer()
    assert answer.feed(ANSWER[:-4]) == b"PACK and more"
    assert not answer.whole


@pytest.mark.parametrize(
    "answer",
    [
        lines("ERR upload-pack: not our ref\n"),
        lines("acknowledgments\n", "NAK\n"),
        lines("shallow-info\n", f"unshallow {ONE}\n"),
        lines("shallow-info\n", "shallow nothing\n"),
        lines("packfile\n", b"\x03fatal: out of memory\n"),
        lines("packfile\n", b"\x04what"),
        lines("packfile\n") + b"0001",
        lines("packfile\n", b"\x01PACK") + b"0000" + lines("more\n"),
        b"0000",
        b"<html>",
    ],
)
def test_what_is_no_plain_answer_is_left_to_git(answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        PackAnswer().feed(answer)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_with_a_pack_or_refused(answer: bytes) -> None:
    try:
        assert len(PackAnswer().feed(answer)) <= len(answer)
    except ProtocolError:
        assert answer


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
        ("https://git.example.com/group/../other/s.git/info/refs?service=git-upload-pack", None),
        ("//git.example.com/group/../other/s.git/info/refs?service=git-upload-pack", None),
        ("/group/%2e%2e/other/s.git/info/refs?service=git-upload-pack", None),
        ("/group/.%2E/other/s.git/info/refs?service=git-upload-pack", None),
        ("/group/..%2fother/s.git/info/refs?service=git-upload-pack", None),
        ("/group/%252e%252e/other/s.git/info/refs?service=git-upload-pack", None),
        ("/group/..;/other/s.git/info/refs?service=git-upload-pack", None),
        ("/group/..%5cother/s.git/info/refs?service=git-upload-pack", None),
        ("/group/a.git?b=/info/refs?service=git-upload-pack", None),
        ("/group//s.git/info/refs?service=git-upload-pack", None),
        ("/users/sign_in", None),
        ("/a b.git/info/refs?service=git-upload-pack", None),
        ("/old.git/info/refs?service=git-upload-pack", None),
        ("", None),
    ],
)
def test_a_redirect_counts_on_the_same_server_only(location: str, found: str | None) -> None:
    assert same_server("https://git.example.com/old.git", location) == found


TEMPLATE = "https://git.example.com/scm/{}.git"


@pytest.mark.parametrize(
    ("project", "url", "moved", "within"),
    [
        ("group/app", "", "scm/group/renamed.git", True),
        ("group/app", "", "scm/group/team/app.git", True),
        ("group/app", "", "scm/Group/app", True),
        ("group/app", "", "scm/group2/app.git", False),
        ("group/app", "", "scm/other/app.git", False),
        ("group/app", "", "group/app.git", False),
        ("group/c++", "", "scm/group/cpp.git", True),
        ("app", "", "scm/app", True),
        ("app", "", "scm/other.git", False),
        ("app", "", "scm/app/other.git", False),
        # The operator's own URL for this project.
        ("group/app", "https://git.example.com/elsewhere.git", "moved.git", True),
    ],
)
def test_who_has_moved_is_followed_within_the_group(project: str, url: str, moved: str, *, within: bool) -> None:
    url = url or TEMPLATE.format(project.replace("+", "%2B"))
    assert in_same_group(url, project, f"https://git.example.com/{moved}") == within
