"""What a person sees of the audit log and of API tokens; pure, as ``kas.cli.views``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kas.cli.text import age, parse_time
from kas.cli.views import Cell, Table, Tone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kas.web.access_payloads import ApiToken, AuditEntry


def audit_lines(values: Sequence[AuditEntry], now: datetime) -> Table:
    """One row a line of the audit log, in the order given."""
    return Table(
        columns=("TIME", "AGE", "WHO", "TOKEN", "FROM", "ACTION", "OUTCOME", "PROJECT", "SUBJECT"),
        rows=tuple(
            (
                Cell(value["at"]),
                Cell(age(value["at"], now)),
                Cell(value["actor"] or "-"),
                Cell("-" if value["actor_token_id"] is None else str(value["actor_token_id"])),
                Cell(value["peer"]),
                Cell(value["action"]),
                Cell(value["outcome"], Tone.PLAIN if value["outcome"] == "done" else Tone.BAD),
                Cell(value["project"] or "-"),
                Cell("; ".join(part for part in (value["subject"], value["reason"]) if part)),
            )
            for value in values
        ),
        wide=frozenset({"AGE", "TOKEN", "PROJECT"}),
    )


def api_tokens(values: Sequence[ApiToken], now: datetime) -> Table:
    """One row an API token."""
    return Table(
        columns=("ID", "NAME", "ROLE", "PROJECT", "STATUS", "CREATED", "EXPIRES"),
        rows=tuple(
            (
                Cell(str(value["id"])),
                Cell(value["name"]),
                Cell(value["role"]),
                Cell(value["project"] or "-"),
                _status(value, now),
                Cell(age(value["created_at"], now)),
                Cell(value["expires_at"] or "never"),
            )
            for value in values
        ),
    )


def _status(value: ApiToken, now: datetime) -> Cell:
    if value["revoked_at"] is not None:
        return Cell("revoked", Tone.FAINT)
    if value["expires_at"] is not None and parse_time(value["expires_at"]) <= now:
        return Cell("expired", Tone.FAINT)
    return Cell("active", Tone.GOOD)
