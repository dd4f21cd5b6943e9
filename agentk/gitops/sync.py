"""One revision driven into the cluster: resolve, look, plan, record, execute, record. Straight on, never back.

Everything that is decided is decided in ``agentk.apply``; this file only fetches what deciding needs, has the plan
carried out, and has the books kept (``bookkeeping``) so that a crash at any point forgets nothing: names are written
before the first apply, digests and fingerprints after the last one.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from agentk.apply.inventory import InventoryError
from agentk.apply.model import DryRun, Outcome, Plan, Recorded, Result, Stage
from agentk.apply.narrow import Narrowed, narrow
from agentk.apply.needs import home_of
from agentk.apply.plan import plan
from agentk.apply.resolve import resolve
from agentk.apply.rules.autoscale import may_be_scaled
from agentk.apply.rules.done import done, is_done
from agentk.apply.rules.forbidden import leave_out, place_of
from agentk.apply.rules.own import NOTHING_OWN, namespaces_of_rights
from agentk.apply.rules.selection import changed_keys, selection_of
from agentk.apply.traits import leave_scaled
from agentk.apply.waiting import Patience
from agentk.apply.wanted import Wanted
from agentk.gitops.bookkeeping import Bookkeeping
from agentk.gitops.computing import computed
from agentk.gitops.holders import Held, genuine
from agentk.gitops.looking import Looking, dependencies
from agentk.gitops.outcomes import Outcomes
from agentk.gitops.readiness import Readiness
from agentk.gitops.sync_result import SyncResult, unconfirmed
from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentk.apply.execute import Executor
    from agentk.apply.identity import Identity
    from agentk.apply.model import Desired, Live, ProjectSettings, Snapshot
    from agentk.apply.resolve import Resolved
    from agentk.apply.rules.own import OwnObjects
    from agentk.gitops.autoscalers import Autoscalers
    from agentk.gitops.holders import Holder
    from agentk.gitops.observer import Observer
    from agentk.gitops.rivals import Rivals
    from agentk.gitops.served_kinds import ServedKinds
    from agentk.kube.discovery import Discovery
    from agentk.kube.inventory_key import InventoryKey
    from agentk.kube.inventory_store import InventoryStore
    from agentk.kube.objects import Objects
    from agentk.kube.own import Own
    from agentlink.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class Cluster:
    """The parts that every project of an agent shares.

    Without ``own`` nothing in the cluster is taken for a part of agentk itself; without ``autoscalers`` only those in a
    project's own revision are known; without ``served`` nobody notices that kinds begin to be served. ``holders`` are
    the agent's projects by inventory id; without, nobody knows of others, and objects are taken for what they claim.
    ``rivals`` makes, for the namespace of an inventory, what looks for GitLab's agentk; without, nobody does.
    ``known`` says who they are.
    """

    agent_id: int
    discovery: Discovery
    objects: Objects
    observer: Observer
    executor: Executor
    inventory_key: InventoryKey
    own: Own | None = None
    autoscalers: Autoscalers | None = None
    served: ServedKinds | None = None
    events_refused: dict[str, float] = field(default_factory=dict)
    holders: Callable[[], Mapping[str, Holder]] | None = None
    rivals: Callable[[str], Rivals] | None = None
    known: Callable[[], Mapping[str, Identity]] | None = None


class ProjectSync:
    """Syncs of one project, and what it remembers between them: what Git wants, and what the inventory says."""

    def __init__(
        self,
        cluster: Cluster,
        settings: ProjectSettings,
        store: InventoryStore,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with nothing known; ``on_wait`` is called whenever a run begins to wait."""
        self._cluster = cluster
        self._book = Bookkeeping(store)
        as_agent = not settings.impersonate_user
        self._looking = Looking(cluster.observer, cluster.objects, cluster.discovery, as_agent=as_agent)
        self._readiness = Readiness(cluster.observer, cluster.objects, cluster.discovery, self._holds, self.is_done)
        self.settings = settings
        self._wanted = Wanted()
        self.rescaled: set[ObjectRef] = set()
        self._patience = Patience(on_wait)
        self._on_wait = on_wait
        self._patient_with: tuple[str, ProjectSettings] | None = None
        self._settled: tuple[ProjectSettings, int] | None = None

    @property
    def desired(self) -> Mapping[ObjectRef, Desired]:
        """Return what the last snapshot wants, by name."""
        return self._wanted.by_ref

    def _holds(self, ref: ObjectRef) -> bool:
        """Tell whether an object is one of the project's own."""
        return ref in self.desired

    def is_done(self, ref: ObjectRef) -> bool:
        """Tell whether an object has ended well as Git has it now, so that it need not be there any more."""
        return is_done(self.recorded(ref)) and self.is_as_recorded(ref)

    async def note_ends(self) -> None:
        """Record which objects have ended well since they were applied.

        Raises:
            KubeError, InventoryError: The inventory could not be written.
        """
        if self._record_ends():
            await self._book.write()

    def _record_ends(self) -> bool:
        recorded, ended = self._book.known, self._cluster.observer.ended
        if recorded is None or not ended or self.settings.dry_run is not DryRun.NONE:
            return False
        found = ((recorded.get(ref), uid) for ref, uid in ended.items())
        news = [one for one, uid in found if one is not None and one.digest and one.uid == uid and not is_done(one)]
        for one in news:
            self._book.record(done(one))
        return bool(news)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Return what of the last snapshot cannot be applied, whatever the cluster holds."""
        return self._wanted.refused

    async def held(self) -> Held:
        """Return what the project holds; what its inventory says is read if it has not been, beside a run of its own.

        Raises:
            KubeError, InventoryError: It cannot be read.
        """
        known = self._book.known
        return Held(self.desired, await self._book.peek() if known is None else known)

    def body_in_git(self, ref: ObjectRef) -> bytes | None:
        """Return what the last snapshot says of an object, before its fields are filled; None where it has none."""
        one, outline = self.desired.get(ref), self._wanted.outline
        return outline.body_of(one) if one is not None and outline is not None else None

    def recorded(self, ref: ObjectRef) -> Recorded | None:
        """Return what was recorded of an object when it was last applied."""
        known = self._book.known
        return known.get(ref) if known else None

    @property
    def strays(self) -> str:
        """Return which ConfigMaps look like the project's inventory and have no effect, empty if none does."""
        return self._book.strays

    @property
    def waiting(self) -> bool:
        """Tell whether a run waits for other objects' health, or for the end of objects."""
        return self._patience.waiting

    def doubt(self) -> None:
        """Look at every object in the next run: something may have happened to some that nobody has put right."""
        self._settled = None

    def interrupt(self, *, stop: bool = False) -> None:
        """End the waits of a run that is under way, and so the run; running again goes on where it was.

        Args:
            stop: Begin with no further object either.
        """
        if stop:
            self._patience.stop()
        else:
            self._patience.give_up()

    @property
    def is_applied(self) -> bool:
        """Tell whether the cluster, as far as the inventory says, is what the last snapshot wants."""
        recorded, desired = self._book.known, self.desired
        if recorded is None or self._wanted.outline is None or self.refused or recorded.keys() != desired.keys():
            return False
        return all(self.is_as_recorded(ref) for ref in desired)

    async def observe(self, snapshot: Snapshot) -> None:
        """Look at what a sync of the snapshot would work on, and go on watching it; nothing is written.

        Raises:
            KubeError: The cluster could not be asked.
            InventoryError: The inventory cannot be understood.
        """
        self.doubt()
        resolved = await self._resolve(snapshot)
        await self._looking.watch(resolved, await self._book.read())
        self._cluster.observer.begin()

    def distrust(self) -> None:
        """Take nothing for granted: the next run reads the inventory, and lists every kind, anew."""
        kinds = {(ref.group, ref.kind) for ref in (*self.desired, *(self._book.known or ()))}
        self._cluster.observer.renew(kinds)
        self._book.distrust()
        self._wanted.resolve(None)
        self.doubt()

    def is_as_recorded(self, ref: ObjectRef) -> bool:
        """Tell whether an object was applied as Git wants it now; of one that is filled from others, whether ever."""
        recorded, one = self.recorded(ref), self.desired.get(ref)
        if recorded is None or one is None:
            return False
        filled = one.ordering is not None and bool(one.ordering.mutations)
        return bool(recorded.digest) and (filled or recorded.digest == one.digest.hex())

    async def run(
        self, snapshot: Snapshot, report: Callable[[Outcome], None], *, confirmed: frozenset[ObjectRef] = frozenset()
    ) -> SyncResult:
        """Make the cluster what the snapshot says.

        Args:
            snapshot: The revision.
            report: Told of each object's outcome as it is known; the whole comes in the result.
            confirmed: Objects whose deletion somebody confirmed; it counts if none but these wait for that.

        Raises:
            KubeError: The cluster could not be asked or the inventory not be written. What was done is remembered.
            InventoryError: The inventory cannot be understood.
        """
        if self._patient_with != (snapshot.sync_id, self.settings):
            self._patience, self._patient_with = Patience(self._on_wait), (snapshot.sync_id, self.settings)
        self._patience.renew()
        part = await self._narrow(snapshot) if not confirmed else None
        self._settled = None
        try:
            result = await (self._run_part(part, report) if part else self._run(snapshot, report, confirmed))
        finally:
            self._cluster.observer.begin()
        if result.settled and self.settings.dry_run is DryRun.NONE:
            self._settled = (self.settings, self._cluster.discovery.generation)
        waits = unconfirmed(result.outcomes.said)
        if not waits and result.blocked is None and not (result.failed or result.superseded):
            await self.selected(snapshot)
        return result

    async def selected(self, snapshot: Snapshot) -> None:
        """Take note that what is applied is what this snapshot selects, by the settings of now.

        Raises:
            KubeError, InventoryError: The inventory could not be written.
        """
        if self.settings.dry_run is DryRun.NONE:
            await self._book.remember(selection_of(snapshot, self.settings))

    async def _narrow(self, snapshot: Snapshot) -> Narrowed | None:
        """Return what alone has to be looked at; None where that is everything."""
        cluster = self._cluster
        if self._settled != (self.settings, cluster.discovery.generation) or not cluster.observer.sight.is_clear:
            return None
        if self._book.known is None or self._book.damage is not None:
            return None
        part = narrow(snapshot, self.settings, cluster.discovery, cluster.agent_id, previous=self._wanted)
        if part is None or part.changed.basis is None:
            return None
        own = await self._own(one.ref for one in part.changed.desired)
        return part if own == part.changed.basis.bounds.own else None

    async def _run_part(self, part: Narrowed, report: Callable[[Outcome], None]) -> SyncResult:
        """Sync what changed; the rest is as it was when everything was looked at, or the watches have told."""
        recorded = await self._book.read()
        self._record_ends()
        changed = part.changed
        hidden = await self._looking.watch(changed, ())
        live, unseen = await self._looking.look_at(leave_out(changed, (), hidden).desired, ())
        self._wanted.amend(changed, part.files)
        todo = plan(
            leave_out(changed, (), hidden | unseen),
            {one.ref: recorded[one.ref] for one in changed.desired if one.ref in recorded},
            live,
            self.settings,
            kinds=self._cluster.discovery,
            whose=self._whose(),
        )
        result = await self._carry_out(todo, recorded, report)
        return replace(result, untouched=len(self.desired) - len(changed.desired))

    async def _run(
        self, snapshot: Snapshot, report: Callable[[Outcome], None], confirmed: frozenset[ObjectRef]
    ) -> SyncResult:
        todo, resolved, recorded = await self._foresee(snapshot, confirmed)
        self._cluster.observer.share_names(self.settings.inventory_id, self._named)
        if todo.proven and todo.blocked is None and todo.dry_run is DryRun.NONE:
            self._book.prove()
        result = await self._carry_out(todo, recorded, report)
        # Kinds that this very sync has made served.
        await self._looking.watch(resolved, recorded)
        return result

    def _named(self, ref: ObjectRef) -> ObjectRef:
        one = self.desired.get(ref)
        return one.ref if one is not None else ref

    async def foresee(self, snapshot: Snapshot) -> Plan:
        """Return what a sync of the snapshot would do now; for an instance that never syncs, nothing is written.

        Raises:
            KubeError: The cluster could not be asked.
            InventoryError: The inventory cannot be understood.
        """
        todo, _, _ = await self._foresee(snapshot, frozenset())
        return todo

    async def _foresee(
        self, snapshot: Snapshot, confirmed: frozenset[ObjectRef]
    ) -> tuple[Plan, Resolved, Mapping[ObjectRef, Recorded]]:
        """Resolve, look and plan; return with the plan what Git wants, as far as may be, and the inventory."""
        resolved = await self._resolve(snapshot)
        recorded = await self._book.read()
        self._record_ends()
        hidden = await self._looking.watch(resolved, recorded)
        visible = leave_out(resolved, (), hidden).desired
        remembered = (ref for ref in recorded if place_of(ref) not in hidden)
        needed = (ref for ref in dependencies(visible) if place_of(ref) not in hidden)
        live, unseen = await self._looking.look_at(visible, remembered, needed)
        resolved = leave_out(resolved, recorded, hidden | unseen)
        resolved = self._with_damage(resolved)
        changed = changed_keys(self._book.selection, selection_of(snapshot, self.settings))
        todo = await self._decide(resolved, recorded, live, changed=changed)
        if (waiting := unconfirmed(todo.decided)) and waiting <= confirmed:
            todo = await self._decide(resolved, recorded, live, prune_confirmed=True)
        return todo, resolved, recorded

    async def _decide(
        self,
        resolved: Resolved,
        recorded: Mapping[ObjectRef, Recorded],
        live: Mapping[ObjectRef, Live],
        *,
        prune_confirmed: bool = False,
        changed: tuple[str, ...] = (),
    ) -> Plan:
        return await computed(
            len(resolved.desired) + len(recorded),
            plan,
            resolved,
            recorded,
            live,
            self.settings,
            kinds=self._cluster.discovery,
            prune_confirmed=prune_confirmed,
            others=await self._others(recorded),
            former=self._cluster.discovery.former,
            unproven=None if self._book.proven else self._book.place,
            whose=self._whose(),
            changed=changed,
        )

    async def repair(self, refs: Iterable[ObjectRef]) -> SyncResult:
        """Put drifted objects back as they were applied; work for these objects alone, whatever the project's size.

        Raises:
            KubeError: As for ``run``.
        """
        self._patience.renew()
        self._record_ends()
        recorded, outline = self._book.known, self._wanted.outline
        if outline is None or recorded is None:
            return SyncResult()
        # What Git has newly of an object that waits for others is the next sync's to apply.
        desired = tuple(
            one
            for ref in refs
            if (one := self.desired.get(ref)) and ref in recorded and (not one.ordering or self.is_as_recorded(ref))
        )
        self.rescaled.difference_update(one.ref for one in desired)
        live, unseen = await self._looking.look_at(desired, ())
        drifted = replace(outline, desired=desired, refused=())
        todo = plan(
            leave_out(drifted, (), unseen),
            {one.ref: recorded[one.ref] for one in desired},
            live,
            self.settings,
            kinds=self._cluster.discovery,
            whose=self._whose(),
        )
        settled, self._settled = self._settled, None
        result = await self._carry_out(todo, recorded, lambda _: None)
        if result.settled:
            self._settled = settled
        return result

    def rescale(self, ref: ObjectRef) -> bool:
        """Take in that an object has an autoscaler, or none any more; tell whether it is to be applied for that.

        ``rescaled`` holds it until it has been.
        """
        resolved = self._wanted.resolved
        if resolved is None or ref not in self.desired:
            return False
        scaled = leave_scaled(resolved.desired, self._scalers, resolved.body_of)
        changed = next((one for one in scaled if one.ref == ref), None)
        if changed is None or changed.digest == self.desired[ref].digest:
            return False
        self._wanted.replace(changed)
        self.rescaled.add(ref)
        return True

    async def _leave_scaled(self, resolved: Resolved) -> Resolved:
        """Leave replicas to autoscalers, of the cluster too where there is anything that they could scale."""
        autoscalers = self._cluster.autoscalers
        namespaces = {one.ref.namespace for one in resolved.desired if may_be_scaled(one.ref.group, one.ref.kind)}
        if namespaces and autoscalers is not None:
            await autoscalers.ensure(namespaces)
        desired = leave_scaled(resolved.desired, self._scalers, resolved.body_of)
        self.rescaled.clear()
        self._wanted.hold(desired)
        return replace(resolved, desired=desired)

    @property
    def _scalers(self) -> Mapping[ObjectRef, ObjectRef]:
        return self._cluster.autoscalers.by_target if self._cluster.autoscalers is not None else {}

    async def _resolve(self, snapshot: Snapshot) -> Resolved:
        """Resolve; an unknown kind may be one that the cluster serves since we last asked."""
        discovery, agent_id = self._cluster.discovery, self._cluster.agent_id
        unserved = self._cluster.observer.sight.unserved
        if not discovery.kinds or (unserved and any((ref.group, ref.kind) in unserved for ref in self.desired)):
            await discovery.refresh()
        own = await self._own(await self._book.read())
        resolving = partial(resolve, own=own)
        files, before = len(snapshot.files), self._wanted.resolved
        resolved = await computed(files, resolving, snapshot, self.settings, discovery, agent_id, before)
        if any(outcome.reason == "UnknownKind" for outcome in resolved.refused):
            await discovery.refresh()
            resolved = await computed(files, resolving, snapshot, self.settings, discovery, agent_id, resolved)
        if (known := await self._own(one.ref for one in resolved.desired)) != own:
            # It brings roles or bindings for a namespace where agentk has some.
            resolving = partial(resolve, own=known)
            resolved = await computed(files, resolving, snapshot, self.settings, discovery, agent_id, resolved)
        self._wanted.resolve(resolved)
        return await self._leave_scaled(resolved)

    async def _own(self, refs: Iterable[ObjectRef]) -> OwnObjects:
        """Return what agentk itself stands on, its rights in the namespaces in which these objects are rights too."""
        if self._cluster.own is None:
            return NOTHING_OWN
        return await self._cluster.own.objects(namespaces_of_rights(refs))

    def _with_damage(self, resolved: Resolved) -> Resolved:
        """Count a damaged inventory as an object that cannot be applied: the others are, and nothing is pruned."""
        if self._book.damage is None:
            return resolved
        damaged = Outcome(self._book.place, Result.FAILED, reason="InventoryDamaged", message=str(self._book.damage))
        return replace(resolved, refused=(damaged, *resolved.refused))

    async def _others(self, recorded: Mapping[ObjectRef, Recorded]) -> tuple[Live, ...]:
        """Return other projects' objects, if there is anything of ours to prune, which they may need."""
        if recorded.keys() <= self.desired.keys():
            return ()
        own = self.settings.inventory_id
        return await genuine(self._cluster.observer.live.of_others(own), self._cluster.holders, but=own)

    def _whose(self) -> Mapping[str, Identity]:
        """Return other inventories by id: those beside the project's own, and of the agent's projects."""
        known = self._cluster.known
        return {**self._book.beside, **(known() if known is not None else {})}

    async def _carry_out(
        self, todo: Plan, recorded: Mapping[ObjectRef, Recorded], report: Callable[[Outcome], None]
    ) -> SyncResult:
        """Write the names, act, write what came of it; the second also when acting was broken off."""
        outcomes = Outcomes()

        def note(outcome: Outcome) -> None:
            self._book.note(outcome)
            if outcome.digest and outcome.live is not None:
                # Ahead of the watches.
                self._cluster.observer.applied(outcome.live)
            outcomes.add(outcome)
            report(outcome.told)

        if todo.blocked is None and todo.record is not None:
            todo = await self._open_namespace(todo, note)
            for ref in todo.record or ():
                if ref not in recorded:
                    self._book.record(Recorded(ref))
            await self._book.write()
        try:
            await self._cluster.executor.run(
                todo, note, readiness=self._readiness, patience=self._patience, settle=self._book.write
            )
        finally:
            if todo.dry_run is DryRun.NONE and todo.blocked is None:
                for ref in todo.forget:
                    self._book.forget(ref)
                # A second failure to reach the cluster must not hide the first.
                with suppress(KubeError, InventoryError) if sys.exc_info()[0] else nullcontext():
                    await self._book.write()
        return SyncResult(outcomes, todo.blocked)

    async def _open_namespace(self, todo: Plan, note: Callable[[Outcome], None]) -> Plan:
        """Create the namespace that the inventory itself needs, if the plan is to create it; return the rest.

        Dying right after it forgets nothing: the namespace carries our annotation, and is ours when we come back.
        """
        home = home_of(self.settings.inventory_home)
        opening = tuple(
            action
            for stage in todo.stages
            for action in stage.actions
            if action.desired.ref == home and not action.live_version
        )
        if not opening:
            return todo
        await self._cluster.executor.run(
            Plan(stages=(Stage(opening),), total=1, body_of=todo.body_of, bounds=todo.bounds), note
        )
        stages = tuple(
            replace(
                stage,
                applies=tuple(action for action in stage.applies if action not in opening),
                late=tuple(action for action in stage.late if action not in opening),
            )
            for stage in todo.stages
        )
        return replace(todo, stages=stages, total=todo.total - 1)
