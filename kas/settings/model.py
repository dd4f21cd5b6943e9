"""What an operator may set. Every setting has a default that works on a laptop, and a description for the document."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from kas.settings.values import Address, Duration, File, KasUrl, ListenAddress, Size, WebUrl, Written

Count = Annotated[int, Field(ge=1), Written("number")]
"""A whole number from 1."""

_PROJECT = "{project}"


def default_data_dir() -> Path:
    """Return where kas keeps its files when nothing else is set: ``$XDG_DATA_HOME/kas``."""
    # An empty or relative value is to be ignored, says the XDG specification.
    home = Path(os.environ.get("XDG_DATA_HOME") or "~")
    return (home if home.is_absolute() else Path.home() / ".local" / "share") / "kas"


class _Section(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Listener(_Section):
    """A listener that may have TLS."""

    certificate_file: File | None = Field(
        default=None, description="PEM file with the certificate and those that lead to its authority; turns TLS on."
    )
    key_file: File | None = Field(default=None, description="PEM file with the certificate's private key.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together: set both, or none for no TLS")
        return self


class AgentListenerSettings(_Listener):
    """Where agents connect."""

    websocket_address: ListenAddress = Field(
        default=Address("127.0.0.1", 8150), description="Takes agents that dial ws:// or wss://, also through a proxy."
    )
    grpc_address: ListenAddress | None = Field(
        default=Address("127.0.0.1", 8152), description="Takes agents that dial grpc:// or grpcs://; null for none."
    )
    max_connection_age: Duration = Field(
        default=3600.0,
        description="About when an agent is asked to connect anew, so that agents spread over replicas; 0s: never.",
    )
    drain_period: Duration = Field(
        default=15.0,
        description="How long a kas that stops lets its agents move to other replicas; with SQLite there are none.",
    )
    new_sessions_per_second: Count = Field(
        default=200, description="Agents let in each second; the others are told when to come again."
    )
    sessions_per_token: Count = Field(
        default=20, description="Connections open with one token; an agent has one for each of its replicas."
    )


class ApiSettings(_Listener):
    """The HTTP API, the webhooks, and what the command line talks to."""

    address: ListenAddress = Field(default=Address("127.0.0.1", 8153), description="Where it listens.")
    external_url: WebUrl | None = Field(
        default=None, description="How people reach it, for links; null where only this machine does."
    )


class ObservabilitySettings(_Section):
    """Liveness, readiness and metrics, without authentication: keep it inside."""

    address: ListenAddress = Field(default=Address("127.0.0.1", 8151), description="Where it listens.")


class CredentialSettings(_Section):
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


class ProjectSettings(_Section):
    """What is different for one project."""

    url: str | None = Field(
        default=None, description="Its Git URL, instead of url_template's; the common credential is not sent there."
    )
    id: Count | None = Field(
        default=None,
        description="Its numeric id in GitLab, to take over what GitLab's agent applied; only before its first sync.",
    )
    credential: CredentialSettings | None = Field(default=None, description="Instead of git.credential.")


class GroupSettings(_Section):
    """What is different for the projects of a group, and of the groups in it."""

    credential: CredentialSettings = Field(description="Instead of git.credential.")


class GitSettings(_Section):
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


class GitLabWebhookSettings(_Section):
    """Push and tag events of GitLab, at /webhooks/gitlab."""

    secret_token_file: File | None = Field(
        default=None, description="File with the secret token that GitLab sends; null refuses its webhooks."
    )


class GitHubWebhookSettings(_Section):
    """Push, create and delete events of GitHub, at /webhooks/github."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that GitHub signs with; null refuses its webhooks."
    )


class GiteaWebhookSettings(_Section):
    """Push, create and delete events of Gitea and Forgejo, at /webhooks/gitea."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that Gitea signs with; null refuses its webhooks."
    )


class GenericWebhookSettings(_Section):
    """Any other Git server, at /webhooks/generic: `{"project": "group/name"}`, signed in `X-Signature-256`."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that bodies are signed with; null refuses these webhooks."
    )


class WebhookSettings(_Section):
    """What tells kas of a push at once."""

    gitlab: GitLabWebhookSettings = Field(default=GitLabWebhookSettings(), description=GitLabWebhookSettings.__doc__)
    github: GitHubWebhookSettings = Field(default=GitHubWebhookSettings(), description=GitHubWebhookSettings.__doc__)
    gitea: GiteaWebhookSettings = Field(default=GiteaWebhookSettings(), description=GiteaWebhookSettings.__doc__)
    generic: GenericWebhookSettings = Field(
        default=GenericWebhookSettings(), description=GenericWebhookSettings.__doc__
    )

    @property
    def secret_files(self) -> dict[str, Path]:
        """Return the configured files by who sends."""
        files = {
            "gitlab": self.gitlab.secret_token_file,
            "github": self.github.secret_file,
            "gitea": self.gitea.secret_file,
            "generic": self.generic.secret_file,
        }
        return {sender: path for sender, path in files.items() if path is not None}


class LimitSettings(_Section):
    """What one manifest project may make kas read. A revision beyond is refused, and says so."""

    file_size: Size = Field(default=5 * 1024**2, description="One manifest file.")
    project_size: Size = Field(default=64 * 1024**2, description="All selected files of a revision together.")
    files: Count = Field(default=10_000, description="Selected files of a revision.")
    paths: Count = Field(default=100, description="Globs of one project in an agent's configuration.")
    yaml_nodes: Count = Field(default=1_000_000, description="Values in one file, with those that aliases repeat.")
    yaml_depth: Count = Field(default=100, description="Values inside values.")


class RetentionSettings(_Section):
    """How much history is kept. What things stand at now is always kept."""

    syncs: Count = Field(default=50, description="Syncs of each agent and project.")
    events: Count = Field(default=1_000, description="Events of each agent and project.")
    pruned_objects: Duration = Field(default=7 * 86400.0, description="How long pruned objects are remembered.")
    audit: Duration = Field(default=365 * 86400.0, description="How long lines of the audit log are kept.")
    audit_lines: Count = Field(default=100_000, description="The most lines of the audit log.")
    mirrors: Duration = Field(
        default=7 * 86400.0, description="How long the copy of a repository is kept that no connected agent uses."
    )
    interval: Duration = Field(default=600.0, description="How often the rest is deleted.")


class InstallSettings(_Section):
    """What the manifests begin with that kas serves for installing agents, at /install on its API listener."""

    kas_address: KasUrl | None = Field(
        default=None, description="How agents reach kas, such as wss://kas.example.com; null: whoever asks says so."
    )
    image: str = Field(default="", description="agentk's image, with its registry; `agentk` where nothing is set.")
    ca_cert_file: File | None = Field(
        default=None, description="PEM file with the authorities that agents are to trust for kas besides the usual."
    )


class LoggingSettings(_Section):
    """What kas writes to standard error."""

    level: Literal["debug", "info", "warn", "error"] = Field(default="info", description="The least that is written.")
    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto is text on a terminal and json otherwise."
    )


class Settings(_Section):
    """Everything an operator may set."""

    data_dir: File = Field(
        default_factory=default_data_dir,
        description="Folder for the database, the Git mirrors and the first API token.",
        json_schema_extra={"shown": "$XDG_DATA_HOME/kas, ~/.local/share/kas otherwise"},
    )
    database: str | None = Field(
        default=None,
        repr=False,  # the URL of a database server may hold a password
        description="sqlite:////path/to/kas.db, on a local disk, or postgresql://user@host/name?sslmode=verify-full; "
        "null for kas.db in data_dir.",
    )
    database_password_file: File | None = Field(
        default=None,
        description="File with the password for PostgreSQL, read anew for each connection; PGPASSFILE works as well.",
    )
    redis: str | None = Field(
        default=None,
        repr=False,  # as above
        description="redis://host:6379/0, or rediss:// for TLS (?ssl_ca_certs=/path names who is trusted): through "
        "it several kas on one PostgreSQL are one; null for a kas that is alone.",
    )
    redis_password_file: File | None = Field(
        default=None, description="File with the password for Redis, read anew for each connection."
    )
    replica_name: str | None = Field(
        default=None, description="What this kas is called among several; null for the name of its machine or pod."
    )
    agent_listener: AgentListenerSettings = AgentListenerSettings()
    api: ApiSettings = ApiSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    git: GitSettings = GitSettings()
    webhooks: WebhookSettings = WebhookSettings()
    install: InstallSettings = InstallSettings()
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    logging: LoggingSettings = LoggingSettings()

    @field_validator("redis")
    @classmethod
    def _redis_usable(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://")):
            raise ValueError("expected a URL that begins with redis:// or rediss://")
        return value

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.redis is not None and self.database_url.startswith("sqlite:"):
            raise ValueError(
                "redis: joins several kas on one PostgreSQL, and database is none: set it, or leave redis out"
            )
        return self

    @property
    def database_url(self) -> str:
        """The URL of the database, whether set or not."""
        return self.database or f"sqlite:///{self.data_dir / 'kas.db'}"


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
