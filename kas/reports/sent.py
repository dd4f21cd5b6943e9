"""Which reports are taken: those about what kas has sent that agent. Whatever else it says is nobody's business.

A report that is taken opens its project (its path, its history, its past in Git) to everybody who may see the agent.
The name of a sync is the proof (``sync_id.py``). What older kas have named without one is known by what kas itself has
noted, and so is what an agent says without naming a sync.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kas.store.batches import Batch
from kas.store.records import Actor, EventRecord
from kas.store.sync_rules import SyncReported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from kas.reports.sync_id import SyncIds
    from kas.store.records import ObjectRecord
    from kas.store.store import Store

    _Item = SyncReported | ObjectRecord | EventRecord

OURS: Final = "kas"
"""The source of events that kas adds to what agents say."""

_NAMED_BEFORE: Final = re.compile(r"[0-9a-f]{32}")
"""How kas named revisions before a name was a proof."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch without what is refused, and the ids of the projects that this was about.

    ``unknown`` are ids that no project has: nothing about them is in the batch.
    """

    batch: Batch
    refused: frozenset[int]
    unknown: frozenset[int] = frozenset()


class Sent:
    """Knows what was sent to which agent. Methods raise StoreUnavailable."""

    def __init__(self, store: Store, ids: SyncIds) -> None:
        self._store = store
        self._ids = ids

    async def judge(self, batch: Batch) -> Judged:
        """Leave out of a batch what is about projects and revisions that its agent was never sent.

        What is about numbers that no project has is left out here, and not only when it is stored: by then somebody
        else's project may have got that number. Events stay, as events of no project.
        """
        named = {item.project_id for item in _items(batch)}
        paths = await self._store.projects.paths_of({one for one in named if one is not None})
        unknown = frozenset(one for one in named if one is not None and one not in paths)
        if unknown:
            batch = Batch(
                batch.agent_id,
                syncs=tuple(item for item in batch.syncs if item.project_id in paths),
                objects=tuple(item for item in batch.objects if item.project_id in paths),
                events=tuple(
                    replace(item, project_id=None) if item.project_id in unknown else item for item in batch.events
                ),
            )
        proven = _Proofs(self._ids, batch.agent_id, paths)
        unproven = {item.project_id for item in _items(batch) if not proven(item)}
        if not unproven:
            return Judged(batch, frozenset(), unknown)
        # What names no sync is vouched for by what comes with it: kas may be yet to note what it has sent.
        vouched = {item.project_id for item in _items(batch) if item.sync_id and proven(item)}
        noted = await self._store.syncs.noted(batch.agent_id, {one for one in unproven if one is not None})
        refused: set[int] = set()

        def taken(item: _Item) -> bool:
            if item.project_id is None or proven(item) or _is_noted(item, noted):
                return True
            if not item.sync_id and item.project_id in vouched:
                return True
            refused.add(item.project_id)
            return False

        rest = Batch(
            batch.agent_id,
            syncs=tuple(item for item in batch.syncs if taken(item)),
            objects=tuple(item for item in batch.objects if taken(item)),
            events=tuple(item for item in batch.events if taken(item)),
        )
        return Judged(rest, frozenset(refused), unknown)

    async def audit(self, agent_id: int, event: EventRecord) -> None:
        """Write a line of the audit log for the event about a refusal, which is stored once."""
        agent = await self._store.agents.get(agent_id)
        await self._store.audit.refused(
            Actor("", None, ""),
            "agent.report",
            project=agent.project,
            subject=f"agent {agent.project}:{agent.name} (id {agent.id})",
            reason=event.message,
        )


def _items(batch: Batch) -> Iterator[_Item]:
    yield from batch.syncs
    yield from batch.objects
    yield from batch.events


class _Proofs:
    """Tells which items of one batch prove themselves; most have one of few names, so each is looked at once."""

    def __init__(self, ids: SyncIds, agent_id: int, paths: Mapping[int, str]) -> None:
        self._ids = ids
        self._agent_id = agent_id
        self._paths = paths
        self._known: dict[tuple[str, int], bool] = {}

    def __call__(self, item: _Item) -> bool:
        project_id = item.project_id
        if project_id is None:
            return True
        path = self._paths[project_id]
        key = (item.sync_id, project_id)
        if (known := self._known.get(key)) is None:
            known = self._known[key] = self._ids.is_of(item.sync_id, self._agent_id, project_id, path)
        return known and (not isinstance(item, SyncReported) or self._ids.is_of_commit(item.sync_id, item.commit))


def _is_noted(item: _Item, noted: Mapping[int, Mapping[str, str]]) -> bool:
    """Tell whether kas has noted that it sent what an item is about; ``noted`` has commits by name, by project."""
    sent = noted.get(item.project_id or 0)
    if sent is None:
        return False
    if not isinstance(item, SyncReported):
        return True
    return _NAMED_BEFORE.fullmatch(item.sync_id) is not None and sent.get(item.sync_id) == item.commit


def refusal_of(agent_id: int, now: datetime) -> EventRecord:
    """Return the event that says that something was refused; the same one for a day, whatever the agent goes on saying.

    It names no project: that would be the opening that was refused.
    """
    return EventRecord(
        id=f"unsent-{agent_id}-{now:%Y%m%d}",  # an agent's own begin with its number
        at=now,
        source=OURS,
        type="Warning",
        reason="ReportRefused",
        message="the agent reported about projects or revisions that it was never sent, and nothing of that is stored. "
        "Whoever does so has its token: revoke it and give the agent a new one, unless you know that its replicas are "
        "connected to another kas as well",
        agent_id=agent_id,
    )
