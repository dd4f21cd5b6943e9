"""The JSON of API tokens and of the audit log; as ``kas.web.payloads``, pure and read by the command line too."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from kas.web.times import optional_time, time_of

if TYPE_CHECKING:
    from kas.store.records import ApiTokenRecord, AuditRecord


class ApiToken(TypedDict):
    """A token for people, without its secret; ``project`` is empty for one that is not bound."""

    id: int
    name: str
    role: str
    project: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class CreatedApiToken(ApiToken):
    """The answer to creating one, the only one that ever holds the secret."""

    secret: str


class Self(TypedDict):
    """Who asks, as kas sees it."""

    token_id: int | None
    name: str
    role: str
    project: str


class AuditEntry(TypedDict):
    """One line of the audit log; ``actor_token_id`` is null where there was no API token."""

    seq: int
    at: str
    actor: str
    actor_token_id: int | None
    peer: str
    action: str
    outcome: str
    project: str
    subject: str
    reason: str


def api_token(record: ApiTokenRecord) -> ApiToken:
    """Describe a token for people."""
    return ApiToken(
        id=record.id,
        name=record.name,
        role=record.role,
        project=record.project,
        created_at=time_of(record.created_at),
        expires_at=optional_time(record.expires_at),
        revoked_at=optional_time(record.revoked_at),
    )


def created_api_token(record: ApiTokenRecord, secret: str) -> CreatedApiToken:
    """Describe a token for people to the one who asked for it."""
    return CreatedApiToken(**api_token(record), secret=secret)


def audit_entry(record: AuditRecord) -> AuditEntry:
    """Describe a line of the audit log."""
    return AuditEntry(
        seq=record.seq,
        at=time_of(record.at),
        actor=record.actor.name,
        actor_token_id=record.actor.token_id,
        peer=record.actor.peer,
        action=record.action,
        outcome=record.outcome,
        project=record.project,
        subject=record.subject,
        reason=record.reason,
    )
