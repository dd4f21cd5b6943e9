from __future__ import annotations

import base64

import pytest

from kas.git.explain import explain, redact
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from kas.git.remotes import Credential

MAIN = GitRef(RefKind.BRANCH, "main")
COMMIT = GitRef(RefKind.COMMIT, "1" * 40)
ME = Credential("me", "s3cret")
ENCODED = base64.b64encode(b"me:s3cret").decode()
URL = "http://127.0.0.1:1234/group/project.git"


@pytest.mark.parametrize(
    ("ref", "code", "stderr", "reason", "retryable"),
    [
        (MAIN, 128, "fatal: couldn't find remote ref refs/heads/main", "RefNotFound", False),
        (DEFAULT_BRANCH, 128, "fatal: couldn't find remote ref HEAD", "RefNotFound", False),
        (COMMIT, 128, f"fatal: couldn't find remote ref {COMMIT.name}", "CommitNotFound", False),
        (COMMIT, 128, f"fatal: remote error: upload-pack: not our ref {COMMIT.name}", "CommitNotFound", False),
        (MAIN, 128, f"fatal: repository '{URL}/' not found", "RepositoryNotFound", False),
        (MAIN, 128, f"fatal: Authentication failed for '{URL}/'", "AccessDenied", False),
        (MAIN, 128, f"fatal: could not read Username for '{URL}': terminal prompts disabled", "AccessDenied", False),
        (MAIN, 128, f"fatal: unable to access '{URL}/': The requested URL returned error: 403", "AccessDenied", False),
        (MAIN, 128, f"fatal: unable to access '{URL}/': The requested URL returned error: 302", "Redirected", False),
        (MAIN, 128, f"fatal: unable to access '{URL}/': The requested URL returned error: 503", "Unreachable", True),
        (MAIN, 128, f"fatal: unable to access '{URL}/': Could not resolve host: nowhere", "Unreachable", True),
        (MAIN, 128, f"fatal: unable to access '{URL}/': SSL certificate problem: expired", "Unreachable", True),
        (MAIN, 128, "fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", "Unreachable", True),
        (MAIN, 128, "fatal: transport 'ext' not allowed", "Refused", False),
        (MAIN, 128, "fatal: write error: No space left on device", "StorageFailed", True),
        (MAIN, 128, "fatal: bad object refs/kas/0123", "MirrorCorrupt", True),
        (MAIN, -9, "", "Interrupted", True),
        (MAIN, 1, "", "Unreachable", True),
    ],
)
def test_what_git_says_gets_its_reason(ref: GitRef, code: int, stderr: str, reason: str, *, retryable: bool) -> None:
    error = explain("group/project", ref, code, stderr, None)
    assert (error.reason, error.retryable) == (reason, retryable)
    assert str(error).startswith("group/project: ")
    assert "{" not in str(error)


def test_a_refused_login_is_told_as_the_server_told_it_and_not_as_a_terminal_that_is_missing() -> None:
    said = f"fatal: could not read Username for '{URL}': terminal prompts disabled"
    without, refused = (str(explain("group/project", MAIN, 128, said, credential)) for credential in (None, ME))
    assert "(401: it asks for a login, and kas has none)" in without
    assert "(401: it does not accept the login it was sent)" in refused
    assert "terminal" not in without + refused


@pytest.mark.parametrize("name", ["certificate", "redirect", "not-found", "access denied", "packfile"])
def test_a_projects_own_name_explains_nothing(name: str) -> None:
    said = f"fatal: unable to access 'https://h/{name}.git/': Failed to connect to h port 443 after 3 ms"
    assert explain(name, MAIN, 128, said, None).reason == "Unreachable"
    assert "authority" not in str(explain(name, MAIN, 128, said, None))


@pytest.mark.parametrize(
    "text",
    [
        "fatal: Authentication failed for 'https://me:s3cret@h/p.git/'",
        "remote: token s3cret is expired",
        f"> Authorization: Basic {ENCODED}",
        "> authorization: Bearer another-s3cret-token",
        f"echo {ENCODED}",
    ],
)
def test_no_credential_is_left_in_a_text(text: str) -> None:
    shown = redact(text, ME)
    assert "s3cret" not in shown
    assert ENCODED not in shown
    assert "***" in shown


def test_a_credential_in_a_url_is_removed_even_when_it_is_not_ours() -> None:
    assert redact("see https://you:other@h/p", None) == "see https://***@h/p"


def test_a_servers_words_are_one_short_line_without_control_characters() -> None:
    shown = redact("remote: \x1b[31mred\x1b[0m\u202e\nfatal: line\r\n\n" + "x" * 1000, None)
    assert shown.startswith("remote:  [31mred [0m ; line; xxx")
    assert shown.isprintable()
    assert len(shown) == 301


def test_how_long_it_took_is_not_part_of_an_error() -> None:
    one, other = (redact(f"Failed to connect to h port 1 after {ms} ms: refused", None) for ms in (0, 12))
    assert one == other
