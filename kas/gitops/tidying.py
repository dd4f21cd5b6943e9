"""Forgets objects on record that are in no snapshot any more, and of which nobody says anything.

An agent reports what it prunes and releases, but not what was gone when it looked, nor what it said while a report of
its own was lost. A project that is healthy has on record what it was sent; where there is more, the snapshot decides.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentlink import logs
from agentlink.manifests.model import ManifestError
from kas.git.errors import GitError
from kas.gitops.following import wanted_of
from kas.gitops.operating import OperationError
from kas.store.errors import NotFound, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agentlink.refs import ObjectRef
    from kas.desired.model import Snapshot
    from kas.gitops.operating import Operator
    from kas.gitops.publisher import Publisher
    from kas.store.usage import Surplus

log = logs.get_logger("gitops")


async def tidy_for_ever(publisher: Publisher, operator: Operator, before: Callable[[], datetime], pause: float) -> None:
    """Tidy, for ever; ``before`` says what is old enough, ``pause`` is in seconds."""
    while True:
        try:
            await tidy(publisher, operator, before())
        except StoreError as error:
            log.warning("Objects that are gone could not be forgotten", why=str(error))
        await asyncio.sleep(pause)


async def tidy(publisher: Publisher, operator: Operator, before: datetime) -> int:
    """Forget objects of healthy projects that are in no snapshot, told of before a time; return how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    forgotten = 0
    for surplus in await publisher.store.usage.surpluses(before):
        snapshot = await _snapshot_of(publisher, operator, surplus)
        if snapshot is not None:
            named = _Named(snapshot)
            forgotten += await publisher.store.usage.forget_others(surplus, named, before)
    return forgotten


async def _snapshot_of(publisher: Publisher, operator: Operator, surplus: Surplus) -> Snapshot | None:
    """Return what the agent was sent of the project; None where that is not known now."""
    try:
        agent = await publisher.store.agents.get(surplus.agent_id)
    except NotFound:
        return None
    ids = await publisher.store.projects.paths_of([surplus.project_id])
    try:
        found = [one for one in await operator.projects(agent) if one.project == ids.get(surplus.project_id)]
    except OperationError:
        found = []
    if not found:
        return None
    try:
        if not await publisher.mirrors.mirror(found[0].project).has(surplus.commit):
            return None
        return await publisher.snapshots.make(wanted_of(found[0]), surplus.commit)
    except (GitError, ManifestError):
        return None


class _Named:
    """Tells whether a snapshot names an object; what it gives no namespace may be in any."""

    def __init__(self, snapshot: Snapshot) -> None:
        refs = [manifest.ref for file in snapshot.files for manifest in file.objects]
        self._refs = frozenset(refs)
        self._anywhere = frozenset((ref.group, ref.kind, ref.name) for ref in refs if not ref.namespace)

    def __call__(self, ref: ObjectRef) -> bool:
        return ref in self._refs or (ref.group, ref.kind, ref.name) in self._anywhere
