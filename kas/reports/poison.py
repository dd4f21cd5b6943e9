"""What one report may do to the others of its batch: nothing. A value that the database will never take is set aside.

A batch is stored whole or not at all, so one such value would have the whole batch sent again for ever. Cut in halves
until it stands alone, everything else is stored, and the report that cannot be is told of as an event.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kas.reports.sent import OURS
from kas.reports.texts import SENTENCE, inert
from kas.store.batches import Batch
from kas.store.records import EventRecord, ObjectRecord

if TYPE_CHECKING:
    from datetime import datetime

    from kas.store.sync_rules import SyncReported

    Item = ObjectRecord | SyncReported | EventRecord

_SHOWN = 120
"""Characters of a name in the event; the whole of it is what cannot be stored."""


def size(batch: Batch) -> int:
    """Return how many items a batch has."""
    return len(_items(batch))


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Cut a batch of two items or more in two, in an order in which a sync's end comes after its objects."""
    items = _items(batch)
    middle = len(items) // 2
    return _batch(batch.agent_id, items[:middle]), _batch(batch.agent_id, items[middle:])


def obituary(batch: Batch, why: str, now: datetime) -> Batch:
    """Return what is stored instead of a batch of one item: an event that says what is missing. The same one once."""
    (item,) = _items(batch)
    what = _name(item)
    identity = hashlib.sha256(f"{what}\0{why}".encode(errors="replace")).hexdigest()[:32]
    event = EventRecord(
        id=f"refused-{batch.agent_id}-{identity}",
        at=now,
        source=OURS,
        type="Warning",
        reason="ReportRefused",
        message=inert(f"what the agent reported about {what} is not stored, and not asked for again: {why}", SENTENCE),
        agent_id=batch.agent_id,
        project_id=item.project_id,
    )
    return Batch(batch.agent_id, events=(event,))


def _items(batch: Batch) -> list[Item]:
    return [*batch.objects, *batch.syncs, *batch.events]


def _batch(agent_id: int, items: list[Item]) -> Batch:
    return Batch(
        agent_id,
        objects=tuple(item for item in items if isinstance(item, ObjectRecord)),
        events=tuple(item for item in items if isinstance(item, EventRecord)),
        syncs=tuple(item for item in items if not isinstance(item, (ObjectRecord, EventRecord))),
    )


def _name(item: Item) -> str:
    match item:
        case ObjectRecord():
            ref = item.object
            named = "/".join(inert(part, _SHOWN) for part in (ref.namespace, ref.kind, ref.name) if part)
            return f"the object {named}"
        case EventRecord():
            return f"an event {inert(item.reason, _SHOWN)}"
        case _:
            return f"the sync {inert(item.sync_id, _SHOWN)}"
