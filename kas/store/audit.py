"""The audit log: who changed what, when and from where. Lines are only ever added, and deleted when they are old.

A change writes its own line, in its own transaction (``note``), so that there is neither one without the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, or_, select

from kas.store.records import Actor, AuditRecord
from kas.store.schema import audit
from kas.store.times import from_micros, to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database

_DONE: Final = "done"
_REFUSED: Final = "refused"
_REFUSED_SHARE: Final = 10

_NAME_LENGTH: Final = 255
_PROJECT_LENGTH: Final = 1024
_TEXT_LENGTH: Final = 4096
"""What a refused caller has sent may be anything; what is kept of it has an end."""


class Audit:
    """The audit log of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    @whole
    async def refused(self, by: Actor, action: str, *, project: str, subject: str, reason: str) -> None:
        """Note an attempt that was refused. The caller bounds how often."""
        async with self._database.write(durable=False) as connection:
            await note(
                connection, by, action, at=self._clock(), project=project, subject=subject, refused_because=reason
            )

    @whole
    async def done(self, by: Actor, action: str, *, project: str, subject: str) -> None:
        """Note what somebody ordered that changes nothing in the store, such as a command to an agent."""
        async with self._database.write(durable=True) as connection:
            await note(connection, by, action, at=self._clock(), project=project, subject=subject)

    @whole
    async def list(self, *, after: int | None = None, within: str = "", limit: int = 100) -> tuple[AuditRecord, ...]:
        """Return lines, oldest first.

        Args:
            after: the first ones with a greater ``seq``, to read on; None: the newest ones.
            within: of this project or group only, and what is below it.
            limit: at most so many.
        """
        query = select(audit)
        if within:
            below = audit.c.project.startswith(f"{within}/", autoescape=True)
            query = query.where(or_(audit.c.project == within, below))
        if after is not None:
            query = query.where(audit.c.seq > after).order_by(audit.c.seq)
        else:
            query = query.order_by(audit.c.seq.desc())
        async with self._database.read() as connection:
            found = [_record_of(row) for row in await connection.execute(query.limit(limit))]
        return tuple(found if after is not None else reversed(found))

    @whole
    async def clean(self, *, keep: int, before: datetime) -> int:
        """Delete lines written ``before``, and those beyond the newest; return how many.

        Of what was done ``keep`` lines stay, of what was refused a tenth of that, counted apart: whoever has no token
        must not be able to push out what others did.
        """
        deleted = 0
        async with self._database.write(durable=False) as connection:
            for outcome, most in ((_DONE, keep), (_REFUSED, max(1, keep // _REFUSED_SHARE))):
                of_these = audit.c.outcome == outcome
                beyond = select(audit.c.seq).where(of_these).order_by(audit.c.seq.desc()).offset(most).limit(1)
                last = await connection.scalar(beyond)
                old = audit.c.at < to_micros(before)
                query = delete(audit).where(of_these, old if last is None else or_(old, audit.c.seq <= last))
                deleted += (await connection.execute(query)).rowcount
        return deleted


async def note(
    connection: AsyncConnection,
    by: Actor,
    action: str,
    *,
    at: datetime,
    project: str,
    subject: str,
    refused_because: str = "",
) -> None:
    """Write a line within a writing transaction."""
    values = {
        "at": to_micros(at),
        "actor": by.name[:_NAME_LENGTH],
        "actor_token_id": by.token_id,
        "peer": by.peer[:_NAME_LENGTH],
        "action": action,
        "outcome": _REFUSED if refused_because else _DONE,
        "project": project[:_PROJECT_LENGTH],
        "subject": subject[:_TEXT_LENGTH],
        "reason": refused_because[:_TEXT_LENGTH],
    }
    await connection.execute(audit.insert().values(values))


def _record_of(row: Row[Any]) -> AuditRecord:
    return AuditRecord(
        seq=row.seq,
        at=from_micros(row.at),
        actor=Actor(row.actor, row.actor_token_id, row.peer),
        action=row.action,
        outcome=row.outcome,
        project=row.project,
        subject=row.subject,
        reason=row.reason,
    )
