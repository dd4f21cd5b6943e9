"""The tables as queries see them. ``migrations/`` creates them; a test holds the two together.

Times are integer microseconds since the epoch. Words such as states are text: readable in any database tool, and a
new word needs no migration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)

ID: Final = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key. SQLite's is called INTEGER, and only that one counts up by itself."""


def name(length: int) -> TypeEngine[str]:
    """Return the type of a text that lists are sorted by: by code points in every database, whatever its locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


projects: Final = Table(
    "projects",
    metadata,
    Column("id", ID, primary_key=True),
    Column("path", name(1024), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    # Paths that it had before, one a line.
    Column("former", Text, nullable=False, server_default=""),
    # Whether kas.yaml says that GitLab gave it the id.
    Column("pinned", Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,  # an id names inventories in clusters: never given twice
)

agents: Final = Table(
    "agents",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", name(253), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("config_commit", String(64), nullable=False, server_default=""),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,  # as above
)

agent_tokens: Final = Table(
    "agent_tokens",
    metadata,
    Column("id", ID, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    sqlite_autoincrement=True,  # an audit must not mistake a token for one before it
)

api_tokens: Final = Table(
    "api_tokens",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("role", String(64), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("project", String(1024), nullable=False, server_default=""),
    sqlite_autoincrement=True,  # as above
)

audit: Final = Table(
    "audit",
    metadata,
    Column("seq", ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    # No foreign keys: what was done stays true after its agent, project or token is gone.
    Column("actor", String(255), nullable=False),
    Column("actor_token_id", BigInteger),
    Column("peer", String(255), nullable=False),
    Column("action", String(64), nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("project", String(1024), nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "at"),
    sqlite_autoincrement=True,  # readers go on after a number: it must only ever grow
)

syncs: Final = Table(
    "syncs",
    metadata,
    # The agent is part of the key: what one agent reports can never touch another's syncs.
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("id", name(128), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("ref", String(1024), nullable=False),
    Column("commit_id", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("message", Text, nullable=False),
    Column("total", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("configured", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("pruned", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("applied_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
    Column("reported_at", BigInteger),
    Column("seen_at", BigInteger),
    Column("sent_objects", Integer, nullable=False, server_default="0"),
    Index(None, "agent_id", "project_id", "received_at"),
    Index(None, "received_at"),
)

objects: Final = Table(
    "objects",
    metadata,
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("api_group", name(253), primary_key=True),
    Column("kind", name(253), primary_key=True),
    Column("namespace", name(253), primary_key=True),
    Column("name", name(253), primary_key=True),
    Column("result", String(32), nullable=False),
    Column("health", String(32), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("message", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("sync_id", String(128), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

events: Final = Table(
    "events",
    metadata,
    Column("seq", ID, primary_key=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("source", String(32), nullable=False),
    Column("type", String(32), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("message", Text, nullable=False),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE")),
    Column("project_id", ForeignKey("projects.id")),
    Column("sync_id", String(128), nullable=False),
    # All four are null where the event is about no object.
    Column("object_group", String(253)),
    Column("object_kind", String(253)),
    Column("object_namespace", String(253)),
    Column("object_name", String(253)),
    Index(None, "agent_id", "project_id", "seq"),
    sqlite_autoincrement=True,  # readers go on after a number: it must only ever grow
)

keys: Final = Table(
    "keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(64), nullable=False),
)

holds: Final = Table(
    "holds",
    metadata,
    Column("id", ID, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    # Null where it is about all projects of the agent.
    Column("project_id", ForeignKey("projects.id")),
    Column("kind", String(32), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("commit_id", String(64), nullable=False),
    Column("available", String(64), nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String(255), nullable=False),
    Index(None, "agent_id", "project_id", "kind"),
    sqlite_autoincrement=True,  # the order in which they were made
)
