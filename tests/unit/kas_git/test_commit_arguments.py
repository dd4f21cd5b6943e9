"""The one door to git's arguments for commits that others name."""

from __future__ import annotations

import pytest

from kas.git.errors import GitError
from kas.git.refs import commit_argument


@pytest.mark.parametrize("commit", ["abcd", "0123456789", "a" * 40, "f" * 64])
def test_a_commit_or_how_it_begins_is_named_as_a_commit_and_nothing_else(commit: str) -> None:
    assert commit_argument("g/p", commit) == f"{commit}^{{commit}}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "-h",
        "--upload-pack=x",
        "HEAD",
        "main",
        "A" * 40,
        "a" * 65,
        "a" * 40 + "\n",
        "a" * 40 + "^",
        "a..b",
        "é" * 40,
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(GitError) as refused:
        commit_argument("g/p", text)
    assert refused.value.reason == "CommitNotFound"
