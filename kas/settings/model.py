"""What an operator may set. Every setting has a default that works on a laptop, and a description for the document.

The sections ``git`` and ``webhooks`` are files of their own, and so is ``project_access``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from kas.settings.access import Access
from kas.settings.git import GitSettings
from kas.settings.redis import is_open_to_others
from kas.settings.section import Count, Section
from kas.settings.values import Address, Duration, File, KasUrl, ListenAddress, Pause, Size, WebUrl
from kas.settings.webhooks import WebhookSettings


def default_data_dir() -> Path:
    """Return where kas keeps its files when nothing else is set: ``$XDG_DATA_HOME/kas``."""
    # An empty or relative value is to be ignored, says the XDG specification.
    home = Path(os.environ.get("XDG_DATA_HOME") or "~")
    return (home if home.is_absolute() else Path.home() / ".local" / "share") / "kas"


class _Listener(Section):
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
    max_connection_age: Pause = Field(
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


class ObservabilitySettings(Section):
    """Liveness, readiness and metrics, without authentication: keep it inside."""

    address: ListenAddress = Field(default=Address("127.0.0.1", 8151), description="Where it listens.")


class UnauthenticatedSettings(Section):
    """Connections that have shown no good token yet, at each of the listeners' ports."""

    connections: Count = Field(
        default=2000, description="All of them; when there are more, the address that has most gives way."
    )
    connections_per_address: Count = Field(
        default=1000,
        description="Those of one address (IPv6: of one /64). Agents that wait for their turn behind one address "
        "count as well, until kas has seen their tokens.",
    )
    timeout: Duration = Field(
        default=10.0,
        description="How long one may take until a good token has come, with TLS and all; at the API, until a request "
        "has come, at least 40s.",
    )


class LimitSettings(Section):
    """What one manifest project may make kas read. A revision beyond is refused, and says so."""

    file_size: Size = Field(default=5 * 1024**2, description="One manifest file.")
    project_size: Size = Field(default=64 * 1024**2, description="All selected files of a revision together.")
    files: Count = Field(default=10_000, description="Selected files of a revision.")
    paths: Count = Field(default=100, description="Globs of one project in an agent's configuration.")
    yaml_nodes: Count = Field(default=1_000_000, description="Values in one file, with those that aliases repeat.")
    yaml_depth: Count = Field(default=100, description="Values inside values.")


class RetentionSettings(Section):
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


class ReportSettings(Section):
    """What one agent's reports may take. An agent that does what it is for meets none of these."""

    rate: Size = Field(default=4 * 1024**2, description="What one token may send in a second, over a longer time.")
    burst: Size = Field(default=64 * 1024**2, description="What one token may send at once, after a silence.")
    spare_objects: Count = Field(
        default=1_000, description="Objects stored of each agent and project beside twice as many as it was sent."
    )
    object_texts: Size = Field(
        default=2048, description="Messages and paths stored of an object, on average over a project's; more are cut."
    )


class InstallSettings(Section):
    """What the manifests begin with that kas serves for installing agents, at /install on its API listener."""

    kas_address: KasUrl | None = Field(
        default=None, description="How agents reach kas, such as wss://kas.example.com; null: whoever asks says so."
    )
    image: str = Field(default="", description="agentk's image, with its registry; `agentk` where nothing is set.")
    ca_cert_file: File | None = Field(
        default=None, description="PEM file with the authorities that agents are to trust for kas besides the usual."
    )


class LoggingSettings(Section):
    """What kas writes to standard error."""

    level: Literal["debug", "info", "warn", "error"] = Field(default="info", description="The least that is written.")
    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto is text on a terminal and json otherwise."
    )


class Settings(Section):
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
        description="redis://host:6379/0, or rediss:// for TLS: through it several kas on one PostgreSQL are one; null "
        "for a kas that is alone.",
    )
    redis_password_file: File | None = Field(
        default=None,
        description="File with the password for Redis, read anew for each connection; a user stands in the URL. Needed "
        "unless Redis is on this machine.",
    )
    redis_ca_file: File | None = Field(
        default=None,
        description="PEM file with certificate authorities to trust for Redis besides the system's, read anew for each "
        "connection.",
    )
    replica_name: str | None = Field(
        default=None, description="What this kas is called among several; null for the name of its machine or pod."
    )
    project_access: Access = Field(
        default_factory=dict,
        description="Manifest projects that a config.yaml may name outside its own top-level group: projects and "
        "groups, by the configuration project, or by a group of such; `'*'` stands for all, on either side.",
        json_schema_extra={"shown": "`{}`"},
    )
    agent_listener: AgentListenerSettings = AgentListenerSettings()
    api: ApiSettings = ApiSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    git: GitSettings = GitSettings()
    webhooks: WebhookSettings = WebhookSettings()
    install: InstallSettings = InstallSettings()
    unauthenticated: UnauthenticatedSettings = UnauthenticatedSettings()
    limits: LimitSettings = LimitSettings()
    reports: ReportSettings = ReportSettings()
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
        if self.redis_ca_file is not None and not (self.redis or "").startswith("rediss://"):
            raise ValueError("redis_ca_file: is for TLS, and redis does not begin with rediss://")
        if self.redis is not None and self.redis_password_file is None and is_open_to_others(self.redis):
            raise ValueError(
                "redis: others may reach it without a password; give it one (requirepass, or a user of its own), and "
                "name the file that holds it in redis_password_file"
            )
        return self

    @property
    def database_url(self) -> str:
        """The URL of the database, whether set or not."""
        return self.database or f"sqlite:///{self.data_dir / 'kas.db'}"
