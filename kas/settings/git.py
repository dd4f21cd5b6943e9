"""The section ``git``: where repositories are, and how kas shows itself there."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kas.settings.section import Count, Section
from kas.settings.values import Duration, File, Size

_PROJECT = "{project}"


class CredentialSettings(Section):
    """How kas shows Git who it is. The secret itself is only ever in a file, read anew for each fetch."""

    kind: Literal["deploy_token", "access_token", "basic", "ssh_key"] = Field(
        description="A GitLab deploy token, a project, group or personal access token, a user with a password, or a "
        "key for ssh:// URLs."
    )
    username: str = Field(default="", description="Needed for deploy_token and basic.")
    token_file: File = Field(description="File with the token, password or private key and nothing else.")
    known_hosts_file: File | None = Field(
        default=None, description="Needed for ssh_key: the keys of the servers, as ssh-keyscan writes them."
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.username and self.kind not in {"access_token", "ssh_key"}:
            raise ValueError(f"a credential of kind {self.kind} needs a username")
        if (self.kind == "ssh_key") != (self.known_hosts_file is not None):
            raise ValueError("a credential of kind ssh_key, and no other, needs a known_hosts_file")
        return self


class ProjectSettings(Section):
    """What is different for one project."""

    url: str | None = Field(
        default=None, description="Its Git URL, instead of url_template's; the common credential is not sent there."
    )
    id: Count | None = Field(
        default=None,
        description="Its numeric id in GitLab, to take over what GitLab's agent applied, and to know it when it is "
        "renamed; it counts as long as the project has applied nothing under another one.",
    )
    credential: CredentialSettings | None = Field(default=None, description="Instead of git.credential.")


class GroupSettings(Section):
    """What is different for the projects of a group, and of the groups in it."""

    credential: CredentialSettings = Field(description="Instead of git.credential.")


class GitSettings(Section):
    """Where the projects' repositories are."""

    allowed_schemes: tuple[Literal["https", "http", "ssh", "file"], ...] = Field(
        default=("https",),
        description="Kinds of URL that kas may fetch from. http sends credentials unprotected; ssh needs a credential "
        "of kind ssh_key; file is for trying out.",
        strict=False,
        min_length=1,
    )
    url_template: str = Field(
        default="https://gitlab.com/{project}.git",
        description="URL of a project's repository; {project} stands for its path, such as group/project.",
    )
    credential: CredentialSettings | None = Field(default=None, description="For all projects of url_template.")
    ca_file: File | None = Field(
        default=None, description="PEM file with the certificate authorities to trust; null for the system's."
    )
    poll_interval: Duration = Field(
        default=20.0,
        description="How often each project is looked at, give or take a tenth; webhooks need no waiting, and where "
        "they tell of every push it is up to ten times as long.",
    )
    timeout: Duration = Field(default=60.0, description="How long one conversation with a Git server may take.")
    fetch_size: Size = Field(default=2 * 1024**3, description="The most that one fetch may bring.")
    memory: Size = Field(
        default=256 * 1024**2,
        description="The most memory that one git process may take; on Linux. As many may run at once as there are "
        "repositories with something new, 16 for each server.",
        ge=64 * 1024**2,
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names of Git servers that may lead to addresses of this machine, or of its cloud's metadata.",
        strict=False,
    )
    groups: dict[str, GroupSettings] = Field(
        default_factory=dict, description="What is different for the projects below a group; the longest path counts."
    )
    projects: dict[str, ProjectSettings] = Field(
        default_factory=dict, description="What is different for single projects, by path: group/project."
    )

    @field_validator("url_template")
    @classmethod
    def _usable(cls, value: str, info: ValidationInfo) -> str:
        if value.count(_PROJECT) != 1 or _PROJECT not in urlsplit(value).path:
            raise ValueError("expected {project} once in the path of the URL")
        return _git_url(value, info.data.get("allowed_schemes"))

    @field_validator("projects")
    @classmethod
    def _projects_usable(cls, value: dict[str, ProjectSettings], info: ValidationInfo) -> dict[str, ProjectSettings]:
        holders: dict[int, str] = {}
        for path, project in value.items():
            if project.url is not None:
                try:
                    _git_url(project.url, info.data.get("allowed_schemes"))
                except ValueError as error:
                    raise ValueError(f"{path}.url: {error}") from error
            if project.id is not None and holders.setdefault(project.id, path) != path:
                raise ValueError(f"{path}.id: project {holders[project.id]} has the same id")
        return value


def _git_url(url: str, schemes: tuple[str, ...] | None) -> str:
    """Raise ValueError where the URL is none that kas may fetch from; ``schemes`` is None when those are wrong."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError("expected a URL") from error
    if schemes is not None and parts.scheme not in schemes:
        expected = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"expected a URL that begins with {expected}; git.allowed_schemes says which may be used")
    if parts.password is not None or ("@" in parts.netloc and parts.scheme != "ssh"):
        raise ValueError("expected a URL without a user or password; name them under credential, in a file")
    return url
