"""How a project's objects fare, from what the observer sees to the state of the revision.

Owns the summary of health and the time until which objects may take to become well. What makes one object well is
decided in ``agentk.health``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.model import DryRun
from agentk.apply.rules.controllers import left_words
from agentk.apply.rules.done import COMPLETED, WORDS
from agentk.gitops.deadline import Deadline
from agentk.health.model import Health, Status, current
from agentk.health.rules import needs_status
from agentk.health.summary import HealthSummary, Phase
from agentk.reports.convert import ObjectStatus, health_of
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentk.apply.model import Refusal
    from agentk.gitops.observer import Observer
    from agentk.gitops.standing import Standing
    from agentk.gitops.sync import ProjectSync
    from agentk.gitops.sync_result import SyncResult
    from agentlink.refs import ObjectRef

_SETTLED = frozenset(
    {wire.SYNC_STATE_APPLIED, wire.SYNC_STATE_HEALTHY, wire.SYNC_STATE_STALLED, wire.SYNC_STATE_FAILED}
)


_GONE = current(WORDS)
_GOING = Health(Status.TERMINATING, "is being deleted")
_THERE = current("exists")

_NOT_AFFECTED = ("NotAffected", "the commit changes nothing of what this agent selects")


class HealthWatch:
    """Follows the health of what one project's last sync wanted."""

    def __init__(self, observer: Observer, sync: ProjectSync, standing: Standing) -> None:
        self._observer = observer
        self._sync = sync
        self._standing = standing
        self._summary = HealthSummary()
        self._note = ("", "")
        self._deadline = Deadline()

    def watch(self, result: SyncResult, note: tuple[str, str] | None) -> None:
        """Start waiting for every object of the revision to be current.

        Args:
            result: What the sync came to. Objects that it left untouched are waited for already.
            note: Reason and message to tell of a revision that is well; None after a failure: what was noted stays.
        """
        if note is not None:
            self._note = note
        settings = self._sync.settings
        if settings.dry_run is not DryRun.NONE or result.blocked is not None:
            return
        rules = settings.health_rules
        if result.untouched:
            refs = [outcome.ref for outcome in result.outcomes if self._is_followed(outcome.ref)]
            self._summary.expect_more(refs)
        else:
            # Kinds are few and objects many; objects of one kind share it, or nearly so.
            kinds = {id(one.kind): one.kind for one in self._sync.desired.values()}
            concerned = {key for key, kind in kinds.items() if needs_status(kind, rules)}
            refs = [one.ref for one in self._sync.desired.values() if id(one.kind) in concerned] if concerned else []
            self._summary.expect(refs)
            refs += [ref for ref in self._sync.desired if self._is_going(ref)]
        self.pass_on(refs)
        self._deadline.begin(settings.reconcile_timeout)

    def _is_followed(self, ref: ObjectRef) -> bool:
        """Tell whether an object is well only when its status says so."""
        one = self._sync.desired.get(ref)
        return one is not None and needs_status(one.kind, self._sync.settings.health_rules)

    def _is_going(self, ref: ObjectRef) -> bool:
        """Tell whether an object is being deleted, be it of a kind that has no other health than to be there."""
        live = self._observer.live.get(ref)
        return live is not None and live.deleting

    def carry_over(self) -> None:
        """Go on watching the same objects under the number of a revision that changed none of them."""
        if not self._note[0]:
            self._note = _NOT_AFFECTED

    def forget(self) -> None:
        """Tell how every object fares anew when ``watch`` is next called."""
        self._summary = HealthSummary()

    def pass_on(self, refs: Iterable[ObjectRef]) -> None:
        """Take in how objects fare, and report what is news."""
        news = []
        for ref in refs:
            one = self._sync.desired.get(ref)
            if one is None:
                continue
            gone = False
            if self._is_followed(ref):
                health = self._observer.health(ref)
                gone = health is None and self._sync.is_done(ref)
                health = _GONE if gone else health
            elif self._is_going(ref):
                health = _GOING
            elif self._summary.knows(ref):
                health = _THERE
            else:
                continue
            if self._summary.update(ref, health) and health is not None:
                # What is said of an object's health takes the place of what was said when it was applied.
                reason, left = (COMPLETED, "") if gone else left_words(one)
                message = "; ".join(part for part in (health.message, left) if part)
                news.append(ObjectStatus(ref, health=health_of(health), reason=reason, message=message))
        self._standing.tell_objects(news)

    def report(self) -> None:
        """Tell where the revision stands, if it has been applied whole."""
        settings, standing = self._sync.settings, self._standing
        if standing.state not in _SETTLED or settings.dry_run is not DryRun.NONE:
            return
        if (lost := self.out_of_sight()) is not None:
            ref, why = lost
            standing.tell(wire.SYNC_STATE_FAILED, why.reason, f"{ref}: {why.message}")
            return
        summary = self._summary.summary
        if summary.phase is Phase.HEALTHY:
            self._deadline.well()
            standing.tell(wire.SYNC_STATE_HEALTHY, *(self._note if self._note[0] else self._blindness()))
        elif summary.phase is Phase.FAILED:
            standing.tell(wire.SYNC_STATE_FAILED, "Unhealthy", summary.message)
        elif self._deadline.unwell():
            seconds = f"{settings.reconcile_timeout:g} s"
            standing.tell(
                wire.SYNC_STATE_STALLED, "ReconcileTimeout", f"not healthy after {seconds}: {summary.message}"
            )
        elif standing.state != wire.SYNC_STATE_STALLED:
            standing.tell(wire.SYNC_STATE_APPLIED, "Progressing", summary.message)

    def out_of_sight(self) -> tuple[ObjectRef, Refusal] | None:
        """Return an object of which nobody knows any more how it is, and why; None where there is none."""
        if self._observer.sight.is_whole:
            return None
        found = ((ref, self._observer.sight.unseen(ref)) for ref in self._sync.desired)
        return next(((ref, why) for ref, why in found if why is not None), None)

    def _blindness(self) -> tuple[str, str]:
        """Return the reason and message of a project that is well, but would not be seen to change; empty otherwise."""
        unwatched = self._observer.sight.unwatched
        for one in self._sync.desired.values() if unwatched else ():
            if (why := unwatched.get((one.kind.group, one.kind.kind))) is not None:
                return "WatchForbidden", f"drift of {one.kind.kind} objects goes unseen: {why}; extend agentk's role"
        return "", ""

    @property
    def remaining(self) -> float | None:
        """Return the seconds until the reconcile timeout, None while nobody waits for health."""
        return self._deadline.remaining if self._standing.state == wire.SYNC_STATE_APPLIED else None

    @property
    def overdue(self) -> bool:
        """Tell whether the reconcile timeout is over and that has not been told."""
        return self.remaining == 0.0
