"""What a commit says of itself, whatever somebody wrote into it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kas.git.history import CommitInfo, parse_commit

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HEAD = b"tree 1\nparent 2\n"
SECONDS = b"1795262400"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (HEAD + b"author A B <a@b.c> " + SECONDS + b" +0100\n\nSubject\n\nbody\n", CommitInfo("A B", "Subject", AT)),
        (HEAD + b"author  <> " + SECONDS + b" +0000\n\n\n  Late\n", CommitInfo("", "Late", AT)),
        (HEAD + b"author \xff <x> 99999999999999 +0000\n\nS", CommitInfo("", "S", None)),
        (HEAD + b"author A <x> 999999999999 +0000\n\nS", CommitInfo("A", "S", None)),
        (HEAD + b"author A\xff <x> 0 +0000\n\n", CommitInfo("A\ufffd", "", datetime(1970, 1, 1, tzinfo=UTC))),
        (b"", CommitInfo("", "", None)),
        (HEAD + b"\nauthor Forged <x> 0 +0000\n", CommitInfo("", "author Forged <x> 0 +0000", None)),
    ],
)
def test_author_subject_and_time_are_read_and_nothing_is_made_up(content: bytes, expected: CommitInfo) -> None:
    assert parse_commit(content) == expected


def test_texts_have_an_end() -> None:
    info = parse_commit(b"author " + b"a" * 5000 + b" <x> 0 +0000\n\n" + b"s" * 5000)
    assert (len(info.author), len(info.subject)) == (255, 255)
