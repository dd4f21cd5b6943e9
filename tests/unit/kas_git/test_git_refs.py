from __future__ import annotations

import pytest

from kas.git.errors import GitError
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind, check_ref, mirror_name, server_name, tip_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("ref", "words", "on_server"),
    [
        (DEFAULT_BRANCH, "default branch", "HEAD"),
        (GitRef(RefKind.BRANCH, "feature/x+y"), "branch feature/x+y", "refs/heads/feature/x+y"),
        (GitRef(RefKind.BRANCH, "größe"), "branch größe", "refs/heads/größe"),
        (GitRef(RefKind.TAG, "v1.2.3"), "tag v1.2.3", "refs/tags/v1.2.3"),
        (GitRef(RefKind.COMMIT, COMMIT), f"commit {COMMIT}", COMMIT),
    ],
)
def test_a_plain_ref_is_accepted_and_named(ref: GitRef, words: str, on_server: str) -> None:
    check_ref("group/project", ref)
    assert (str(ref), server_name(ref)) == (words, on_server)


@pytest.mark.parametrize(
    "ref",
    [
        *(
            GitRef(RefKind.BRANCH, name)
            for name in [
                "",
                "-x",
                "--upload-pack=touch /tmp/x",
                "a b",
                "a..b",
                "a:b",
                "+a:refs/heads/b",
                "a~1",
                "a^",
                "a*",
                "a?",
                "a[b",
                "a\\b",
                "a\nb",
                "a\x1b[31m",
                "a\x00",
                "a.lock",
                "a/",
                "/a",
                ".a",
                "a/.b",
                "a//b",
                "@",
                "a@{1}",
                "a" * 300,
            ]
        ),
        GitRef(RefKind.TAG, "-t"),
        GitRef(RefKind.COMMIT, "HEAD"),
        GitRef(RefKind.COMMIT, COMMIT[:12]),
        GitRef(RefKind.COMMIT, COMMIT.upper()),
        GitRef(RefKind.DEFAULT, "main"),
    ],
)
def test_what_git_could_read_as_something_else_is_refused(ref: GitRef) -> None:
    with pytest.raises(GitError, match=r"^group/project: ") as caught:
        check_ref("group/project", ref)
    assert caught.value.reason == "Refused"
    assert not caught.value.retryable
    assert str(caught.value).isprintable()


def test_refs_of_other_kinds_names_or_servers_are_kept_apart() -> None:
    refs = [DEFAULT_BRANCH, GitRef(RefKind.BRANCH, "a"), GitRef(RefKind.TAG, "a"), GitRef(RefKind.BRANCH, "a/b")]
    names = {mirror_name(url, ref) for ref in refs for url in ("https://one/p.git", "https://two/p.git")}
    assert len(names) == 8
    assert all(name.startswith("refs/kas/") and name.count("/") == 2 for name in names)


LISTING = f"""\
{"a" * 40}\trefs/heads/main
{"b" * 40}\trefs/heads/feature/x
{"c" * 40}\trefs/tags/v1
{"d" * 40}\trefs/tags/v1^{{}}
{"e" * 40}\trefs/merge-requests/1/head
{"f" * 40}\tHEAD
"""


@pytest.mark.parametrize(
    ("digit", "ref"),
    [
        ("a", GitRef(RefKind.BRANCH, "main")),
        ("b", GitRef(RefKind.BRANCH, "feature/x")),
        ("c", GitRef(RefKind.TAG, "v1")),
        ("d", GitRef(RefKind.TAG, "v1")),
        ("e", None),
        ("f", None),
        ("0", None),
    ],
)
def test_only_a_branch_or_a_tag_that_is_at_a_commit_has_it(digit: str, ref: GitRef | None) -> None:
    assert tip_of(LISTING, digit * 40) == ref
