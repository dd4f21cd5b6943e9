"""What one run of a sync has to say of its objects: in batches, while it runs, and no more than is news."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentk.apply.model import Result
from agentk.health.rules import needs_status
from agentk.reports.convert import add, count, status_of
from agentk.reports.queue import BATCH_OUTCOMES
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from agentk.apply.model import Outcome, Snapshot
    from agentk.gitops.sync import ProjectSync
    from agentk.reports.convert import ObjectStatus
    from agentk.reports.queue import ReportQueue
    from agentlink.refs import ObjectRef

SECONDS = 2.0
"""How often a long sync reports how far it has come."""

_SETTLED = frozenset({Result.CREATED, Result.CONFIGURED, Result.UNCHANGED})


class Progress:
    """Takes the outcomes of one run and passes them on, as many at a time as one request holds.

    An object that is unchanged is no news, unless its last report said that it failed or was skipped: one changed file
    among thousands costs one report. ``unsettled`` are those objects, None where nothing was reported yet, so that the
    first run of this process tells everything.
    """

    def __init__(
        self,
        reports: ReportQueue,
        sync: ProjectSync,
        snapshot: Snapshot,
        unsettled: set[ObjectRef] | None,
        *,
        quiet: bool,
    ) -> None:
        self._reports = reports
        self._sync = sync
        self._snapshot = snapshot
        self._known = unsettled
        self._unsettled: set[ObjectRef] = set()
        self._quiet = quiet
        self._outcomes: list[Outcome] = []
        self._counts = wire.SyncCounts(total=snapshot.objects)
        self._next = time.monotonic() + SECONDS

    def note(self, outcome: Outcome) -> None:
        """Take one outcome; from time to time say how far the sync has come."""
        self._outcomes.append(outcome)
        if outcome.result not in _SETTLED:
            self._unsettled.add(outcome.ref)
        due = time.monotonic() >= self._next
        if due or len(self._outcomes) >= BATCH_OUTCOMES:
            self._flush()
        if not due:
            return
        self._next = time.monotonic() + SECONDS
        if not self._quiet:
            self._reports.sync(self._snapshot, wire.SYNC_STATE_APPLYING, counts=self._counts)

    def finish(self) -> set[ObjectRef]:
        """Pass on the rest; return the objects that did not succeed."""
        self._flush()
        return self._unsettled

    def _flush(self) -> None:
        add(self._counts, count(self._outcomes))
        self._reports.outcomes(self._snapshot, [self._status(one) for one in self._outcomes if self._is_news(one)])
        self._outcomes.clear()

    def _is_news(self, outcome: Outcome) -> bool:
        return outcome.result is not Result.UNCHANGED or self._known is None or outcome.ref in self._known

    def _status(self, outcome: Outcome) -> ObjectStatus:
        """Add the health, where an object is well as soon as it exists."""
        desired = self._sync.desired.get(outcome.ref)
        rules = self._sync.settings.health_rules
        at_once = outcome.result in _SETTLED and desired is not None and not needs_status(desired.kind, rules)
        return status_of(outcome, wire.HEALTH_CURRENT if at_once else wire.HEALTH_UNSPECIFIED)
