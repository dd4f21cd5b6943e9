from __future__ import annotations

from pathlib import Path

import pytest

from kas.git.errors import GitError
from kas.git.remotes import (
    Credential,
    CredentialKind,
    CredentialSettings,
    GitSettings,
    ProjectOverride,
    Remote,
    Remotes,
)


def test_a_project_is_put_into_the_path_of_the_template() -> None:
    remotes = Remotes(GitSettings(url_template="https://git.example.com/scm/{project}.git"))
    assert remotes.url("group/sub.group/my-app_1") == "https://git.example.com/scm/group/sub.group/my-app_1.git"
    assert remotes.url("~me/größe x") == "https://git.example.com/scm/~me/gr%C3%B6%C3%9Fe%20x.git"


def test_a_project_may_have_a_url_of_its_own_and_then_never_gets_the_common_credential() -> None:
    common = CredentialSettings(CredentialKind.ACCESS_TOKEN, Path("never-read"))
    elsewhere = ProjectOverride(url="https://elsewhere.example.com/x.git")
    remotes = Remotes(GitSettings(credential=common, projects={"group/project": elsewhere}))
    remote = remotes.remote("group/project")
    assert (remote.url, remote.credential) == ("https://elsewhere.example.com/x.git", None)


def test_a_slash_at_the_end_of_a_url_is_the_same_repository() -> None:
    own = ProjectOverride(url="https://elsewhere.example.com/x/")
    remotes = Remotes(GitSettings(url_template="https://git.example.com/{project}.git/", projects={"group/own": own}))
    assert remotes.url("group/project") == "https://git.example.com/group/project.git"
    assert remotes.url("group/own") == "https://elsewhere.example.com/x"


@pytest.mark.parametrize(
    "project",
    [
        "",
        "/etc",
        "group/",
        "group//project",
        "group/../other",
        "..",
        "./x",
        "-x",
        "group/--upload-pack=x",
        "user@evil.example.com",
        "evil.example.com:8080/x",
        "x?y",
        "x#y",
        "x%2e%2e/y",
        "x\\y",
        "x\ny",
        "x\x00y",
        "x\udcefy",
        "ext::sh -c x",
        "x" * 600,
    ],
)
def test_a_name_that_is_no_project_is_refused(project: str) -> None:
    with pytest.raises(GitError) as caught:
        Remotes(GitSettings()).url(project)
    assert caught.value.reason == "Refused"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("https://git.example.com/x.git", "needs {project} in the path"),
        ("https://{project}/x.git", "needs {project} in the path"),
        ("https://{project}.example.com/{project}.git", "once"),
        ("http://git.example.com/{project}.git", "add it to allowed_schemes"),
        ("file:///srv/{project}.git", "add it to allowed_schemes"),
        ("ext::sh -c {project}", "space or control"),
        ("ext::{project}", "https://"),
        ("ssh://git@git.example.com/{project}.git", "https://"),
        ("--upload-pack=/{project}", "dash"),
        ("https:///{project}.git", "no host"),
        ("https://git.example.com:port/{project}.git", "not a URL"),
        ("https://user:tok3n@git.example.com/{project}.git", "holds a credential"),
        ("https://git.example.com/{project}.git?private_token=tok3n", "query"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_what_to_write(template: str, says: str) -> None:
    with pytest.raises(ValueError, match="url_template") as caught:
        GitSettings(url_template=template)
    assert says in str(caught.value)
    assert "tok3n" not in str(caught.value)


def test_a_url_of_one_project_is_checked_as_well() -> None:
    with pytest.raises(ValueError, match="the url of project a/b must start with https://"):
        GitSettings(projects={"a/b": ProjectOverride(url="ext::sh")})


@pytest.mark.parametrize("kind", [CredentialKind.DEPLOY_TOKEN, CredentialKind.BASIC])
def test_a_credential_without_the_username_it_needs_is_refused(kind: CredentialKind) -> None:
    with pytest.raises(ValueError, match="needs a username"):
        CredentialSettings(kind, Path("secret"))


def test_a_credential_does_not_show_itself() -> None:
    assert f"{Credential('me', 's3cret')!r} {Credential('me', 's3cret')}" == "Credential(***) Credential(***)"


def test_a_group_has_a_credential_of_its_own_and_the_innermost_one_counts(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("common", "outer", "inner", "own")}
    for name, file in files.items():
        file.write_text(f"secret-of-{name}\n")
    of = {name: CredentialSettings(CredentialKind.ACCESS_TOKEN, file) for name, file in files.items()}
    remotes = Remotes(
        GitSettings(
            credential=of["common"],
            groups={"group": of["outer"], "group/sub": of["inner"]},
            projects={
                "group/sub/own": ProjectOverride(credential=of["own"]),
                "group/elsewhere": ProjectOverride(url="https://elsewhere.example.com/x.git"),
            },
        )
    )

    def password(project: str) -> str | None:
        credential = remotes.remote(project).credential
        return None if credential is None else credential.password

    assert password("other/project") == "secret-of-common"
    assert password("group/project") == "secret-of-outer"
    assert password("group/sub/deep/project") == "secret-of-inner"
    assert password("group/subway/project") == "secret-of-outer"
    assert password("group/sub/own") == "secret-of-own"
    assert password("group/elsewhere") is None
    files["inner"].write_text("rotated\n")
    assert password("group/sub/project") == "rotated"


def test_an_ssh_url_is_allowed_on_request_and_only_with_a_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="add it to allowed_schemes"):
        GitSettings(url_template="ssh://git@h/{project}.git")
    with pytest.raises(ValueError, match="holds a credential"):
        GitSettings(url_template="ssh://git:word@h/{project}.git", allow_ssh=True)
    with pytest.raises(ValueError, match="needs a known_hosts_file"):
        CredentialSettings(CredentialKind.SSH_KEY, tmp_path / "key")
    with pytest.raises(GitError) as caught:
        Remotes(GitSettings(url_template="ssh://git@h/{project}.git", allow_ssh=True)).remote("group/project")
    assert caught.value.reason == "AccessDenied"


def test_a_key_shows_nothing_and_is_not_sent_over_http(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nhidden\n-----END OPENSSH PRIVATE KEY-----")
    credential = CredentialSettings(CredentialKind.SSH_KEY, key, known_hosts_file=tmp_path / "known")
    over_ssh = GitSettings(url_template="ssh://git@h/{project}.git", allow_ssh=True, credential=credential)
    remote = Remotes(over_ssh).remote("group/project")
    assert remote.key is not None
    assert remote.key.text.endswith("KEY-----\n")
    assert "hidden" not in repr(remote)
    assert Remotes(GitSettings(credential=credential)).remote("group/project") == Remote(
        "https://gitlab.example.com/group/project.git", None, None
    )
