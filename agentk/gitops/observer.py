"""What the cluster holds of this agent's objects, kept current by one watch a kind for all projects together.

Watches select by the agent's own label, so that other people's objects cost nothing, and carry metadata only, except
for kinds whose health is told by their status. Of each object only ``Live`` and its health are kept.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from agentk.apply.names import AGENT_LABEL
from agentk.apply.rules.done import has_ended_well
from agentk.apply.rules.forbidden import hidden_by, why_hidden
from agentk.gitops.following import Following
from agentk.gitops.seen import Seen
from agentk.gitops.sight import Sight
from agentk.health.expressions.evaluator import Evaluator
from agentk.health.judge import Judge
from agentk.kube.errors import KubeError
from agentk.kube.objects import Objects
from agentk.kube.retry import RetryPolicy
from agentk.kube.watch import Gone, Interrupted, Resumed, Synced, Unserved, Upsert, Watch
from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from agentk.apply.model import HealthRule, Kind, Live, Refusal
    from agentk.apply.rules.forbidden import Place
    from agentk.health.model import Health
    from agentk.kube.client import KubeClient
    from agentlink.refs import ObjectRef

log = logs.get_logger("observer")


class Sink(Protocol):
    """A project that wants to know what happens to its objects."""

    def observed(self, ref: ObjectRef) -> None:
        """Something about the object changed: look at ``Observer.live`` and ``Observer.health``."""

    def resighted(self, kind: Kind) -> None:
        """Objects of a kind are seen less, or again: look at ``Observer.sight``."""

    def unreachable(self, error: KubeError) -> None:
        """The API server has not answered for a while: how things are is not known any more."""


_FORBIDDEN = 403

_EVENTS_AT_MOST = 100
"""Changes of our own up to which a watch begins at the list that was made before them."""

UNSEEN_SECONDS = 5.0
"""How long one kind may be away before that is news: its own server may restart, or the whole one be busy."""

_ENDED = 10_000

LOST_SECONDS = 2.0
"""How long the API server may be away before that is news: a restart behind a load balancer is none."""


class Observer:
    """Owns the watches. ``live`` and ``health`` are this agent's objects as last seen."""

    def __init__(self, kube: KubeClient, agent_id: int, tasks: asyncio.TaskGroup) -> None:
        self._kube = kube
        self._selector = f"{AGENT_LABEL}={agent_id}"
        self._objects = Objects(kube, retries=RetryPolicy(attempts=1))
        self._tasks = tasks
        self._sinks: dict[str, Sink] = {}
        self._named: dict[str, Callable[[ObjectRef], ObjectRef]] = {}
        self._followed: dict[Place, Following] = {}
        self._confined: set[tuple[str, str]] = set()
        self._live = Seen()
        self._health: dict[ObjectRef, Health] = {}
        self.ended: dict[ObjectRef, str] = {}
        """The UIDs of objects that have ended well, and may be gone since: of the last ``_ENDED`` of them."""
        self.sight = Sight(self._tell_sight)
        self._lost_since: float | None = None
        self._answers = 0
        self._awaited: dict[ObjectRef, list[asyncio.Event]] = {}
        self._judge = Judge(Evaluator(), self._judged)
        self._judging: asyncio.Task[None] | None = None

    @property
    def live(self) -> Seen:
        """Return every object that carries this agent's label, as last seen."""
        return self._live

    def health(self, ref: ObjectRef) -> Health | None:
        """Return how an object fares; None when it was not seen or its kind needs no watching."""
        return self._health.get(ref)

    @contextmanager
    def changes(self, ref: ObjectRef) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever something about an object was seen."""
        event = asyncio.Event()
        self._awaited.setdefault(ref, []).append(event)
        try:
            yield event
        finally:
            self._awaited[ref].remove(event)
            if not self._awaited[ref]:
                del self._awaited[ref]

    def watches(self, ref: ObjectRef) -> bool:
        """Tell whether changes of an object would be seen, if it carries this agent's label."""
        places = ((ref.group, ref.kind, ""), (ref.group, ref.kind, ref.namespace))
        return any((found := self._followed.get(place)) is not None and not found.ended for place in places)

    def judges(self, kind: Kind) -> bool:
        """Tell whether objects of a kind are healthy by more than being there."""
        return self._judge.needs_status(kind)

    def register(self, inventory_id: str, sink: Sink) -> None:
        """Tell this sink about objects that the inventory owns."""
        self._sinks[inventory_id] = sink

    def unregister(self, inventory_id: str) -> None:
        """Stop telling; the watches go on for the other projects."""
        self._sinks.pop(inventory_id, None)
        self._named.pop(inventory_id, None)
        self._judge.judge_by(inventory_id, ())

    def share_names(self, inventory_id: str, named: Callable[[ObjectRef], ObjectRef]) -> None:
        """Keep what is seen of the inventory's objects under the names that this returns, not under others like them.

        Of tens of thousands that are applied, many are seen before their answer has been read.
        """
        self._named[inventory_id] = named

    def judge_by(self, inventory_id: str, rules: tuple[HealthRule, ...]) -> None:
        """Judge the inventory's objects by these rules; ``ensure`` then looks anew at the kinds that this concerns."""
        changed = self._judge.judge_by(inventory_id, rules)
        if rules and self._judging is None:
            self._judging = self._tasks.create_task(self._judge.run(), name="judge")
        self.renew(changed)
        for ref in [ref for ref in self._health if (ref.group, ref.kind) in changed]:
            if (live := self._live.get(ref)) is None or live.owner == inventory_id:
                del self._health[ref]

    def renew(self, kinds: Collection[tuple[str, str]]) -> None:
        """List and watch these kinds, each (group, kind), anew when ``ensure`` is asked for them."""
        for (group, kind, _), following in self._followed.items():
            if (group, kind) in kinds:
                following.stop()

    async def ensure(self, wanted: Mapping[Kind, frozenset[str]]) -> dict[Place, Refusal]:
        """Watch these kinds; return when each has been listed once, so that ``live`` is complete for them.

        What only metadata is needed of is listed now, and watched from ``begin`` on, or from when it is asked for
        again, by this project or another: in a first sync thousands of objects are about to be applied, each of which
        would come back as an event, at a sixth of the throughput, and say what the answer to its apply has said.

        An agent without rights for the whole cluster watches namespace by namespace.

        Args:
            wanted: For each kind the namespaces to watch if the whole cluster may not be watched.

        Returns:
            The places that cannot be watched, and why: they may not be, or what serves their kind is away. The watches
            of the latter go on trying.

        Raises:
            KubeError: The API server is still away, or does not know us: what was seen before must not be taken for
                how things are.
        """
        if self._lost_since is not None:
            await self._find_again()
        hidden: dict[Place, Refusal] = {}
        whole = [kind for kind in wanted if (kind.group, kind.kind) not in self._confined]
        for (kind, _), error in (await self._sync([(kind, "") for kind in whole])).items():
            if error.status == _FORBIDDEN and kind.namespaced:
                log.info("May not watch the whole cluster; watching namespaces", kind=kind.kind)
                self._confined.add((kind.group, kind.kind))
            else:
                why = why_hidden(error.status, error.reason, error.message)
                hidden |= {(kind.group, kind.kind, namespace): why for namespace in wanted[kind]}
        confined = [kind for kind in wanted if (kind.group, kind.kind) in self._confined]
        narrow = [(kind, namespace) for kind in confined for namespace in sorted(wanted[kind])]
        for (kind, namespace), error in (await self._sync(narrow)).items():
            hidden[kind.group, kind.kind, namespace] = why_hidden(error.status, error.reason, error.message)
        return hidden

    async def _sync(self, places: Sequence[tuple[Kind, str]]) -> dict[tuple[Kind, str], KubeError]:
        """Wait for the first list of every watch, started where there is none; return those that cannot be had."""
        refused: dict[tuple[Kind, str], KubeError] = {}
        followed = [self._following(kind, namespace) for kind, namespace in places]
        for place, following in zip(places, followed, strict=True):
            try:
                while not await following.synced():
                    following = self._following(*place)  # noqa: PLW2901 - the one that took its place
            except KubeError as error:
                if not hidden_by(error.status):
                    raise
                if error.status == _FORBIDDEN:
                    following.stop()
                refused[place] = error
        away = {kind.group: error for (kind, _), error in refused.items() if error.status != _FORBIDDEN}
        if len(away) > 1 and len(refused) == len(places):
            # Every group at once: it is the API server that is not well, or what stands before it.
            raise next(iter(away.values()))
        return refused

    def _following(self, kind: Kind, namespace: str) -> Following:
        place = (kind.group, kind.kind, namespace)
        following = self._followed.get(place)
        if following is not None and not following.ended:
            following.begin()
        else:
            following = self._followed[place] = Following()
            watch = self._follow(kind, namespace, following)
            following.start(self._tasks.create_task(watch, name=f"watch-{kind.kind}"))
        return following

    def begin(self) -> None:
        """Begin every watch that waits for the end of a sync."""
        for following in self._followed.values():
            following.begin()

    def applied(self, live: Live) -> None:
        """Take over what the answer to an apply said, ahead of the watch."""
        self._answers += 1
        known = self._live.get(live.ref)
        if is_older(live, known):
            return
        self._live.put(live)
        if known is None or known.resource_version != live.resource_version:
            # It is that of the object before this change; the watch is about to tell the new one.
            self._health.pop(live.ref, None)

    def stop(self) -> None:
        """End every watch."""
        for followed in self._followed.values():
            followed.stop()
        if self._judging is not None:
            self._judging.cancel()

    async def _follow(self, kind: Kind, namespace: str, followed: Following) -> None:
        full = self._judge.needs_status(kind)
        watch = Watch(
            self._kube,
            kind,
            namespace=namespace or None,
            selector=self._selector,
            full=full,
            resource_version=None if full else await self._list_before(kind, namespace, followed),
        )
        async with aclosing(watch.events()) as events:
            async for event in events:
                match event:
                    case Upsert():
                        self._upsert(event)
                    case Gone():
                        self._gone(event.ref)
                    case Synced():
                        self._drop_all_but(kind, namespace, event.refs)
                        self._lost_since = None
                        self._succeeded(kind, namespace, followed)
                    case Resumed():
                        self._succeeded(kind, namespace, followed)
                    case Interrupted():
                        log.debug("A watch was interrupted", kind=kind.kind, why=str(event.error), retry_in=event.wait)
                        followed.fail(event.error)
                        self._interrupted(event.error)
                        if followed.is_synced:
                            self._failed(kind, namespace, followed, event.error)
                    case Unserved():
                        self._drop_all_but(kind, namespace, frozenset())
                        followed.succeed()
                        self.sight.end(kind, namespace)

    async def _list_before(self, kind: Kind, namespace: str, followed: Following) -> str | None:
        """List, wait to begin, and list again if that costs less than the events; return where to watch from.

        None: the API server could not be asked.
        """
        answers = self._answers
        try:
            version = await self._list(kind, namespace)
            self._lost_since = None
            self._succeeded(kind, namespace, followed)
            await followed.may_begin()
            return version if self._answers - answers <= _EVENTS_AT_MOST else await self._list(kind, namespace)
        except KubeError:
            return None  # the watch meets the same, and knows what to do about it

    async def _list(self, kind: Kind, namespace: str) -> str:
        """Take in a list of metadata, and forget what is not in it; return where to watch from.

        What is applied while it goes on is not forgotten: the list is of the moment in which it began.
        """
        version = ""
        unseen: set[ObjectRef] = set()
        async for page in self._objects.list(kind, namespace=namespace or None, selector=self._selector):
            if page.first:
                unseen = set(self._known_of(kind, namespace))
            version = page.resource_version
            for live in page.items:
                unseen.discard(live.ref)
                self._upsert(Upsert(live, None))
        for ref in unseen:
            self._gone(ref)
        return version

    async def _find_again(self) -> None:
        """Ask whether the API server is back; whatever it answers, it is."""
        try:
            await self._kube.ping()
        except KubeError as error:
            if error.status == 0:
                raise
        self._lost_since = None

    def _interrupted(self, error: KubeError) -> None:
        """Tell the projects when the whole API server has been away for a while; what it refuses is another matter."""
        if error.status != 0:
            return
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
        elif now - self._lost_since >= LOST_SECONDS:
            self._lost_since = math.inf
            for sink in self._sinks.values():
                sink.unreachable(error)

    def _succeeded(self, kind: Kind, namespace: str, followed: Following) -> None:
        was_away = followed.away_seconds is not None
        followed.succeed()
        self.sight.regain(kind, namespace, was_away=was_away)

    def _failed(self, kind: Kind, namespace: str, followed: Following, error: KubeError) -> None:
        """Take note that a kind that was seen cannot be looked at now, when that lasts, or not be watched."""
        if error.status == _FORBIDDEN:
            self.sight.blind(kind, error.message)
        elif (seconds := followed.away_seconds) is not None and seconds >= UNSEEN_SECONDS:
            self.sight.lose(kind, namespace, why_hidden(error.status, error.reason, error.message))

    def _tell_sight(self, kind: Kind) -> None:
        for sink in self._sinks.values():
            sink.resighted(kind)

    def _known_of(self, kind: Kind, namespace: str) -> Iterator[ObjectRef]:
        """Yield the objects of a kind that were seen, in one namespace or all."""
        group, name = kind.group, kind.kind
        for ref in self._live:
            if ref.kind == name and ref.group == group and (not namespace or ref.namespace == namespace):
                yield ref

    def _drop_all_but(self, kind: Kind, namespace: str, refs: frozenset[ObjectRef]) -> None:
        for ref in [ref for ref in self._known_of(kind, namespace) if ref not in refs]:
            self._gone(ref)

    def _upsert(self, event: Upsert) -> None:
        live = event.live
        same = self._live.holds(live)
        owner = live.owner
        if not same:
            before = self._live.get(live.ref)
            if is_older(live, before):
                return
            owner = before.owner if before is not None else None
            if before is None and live.owner in self._named:
                live = replace(live, ref=self._named[live.owner](live.ref))
            self._live.put(live)
        self._lost_since = None
        if event.raw is not None:
            if has_ended_well(event.raw):
                self._note_end(live)
            if (health := self._judge.assess(live, event.raw)) is not None:
                self._health[live.ref] = health
        elif same:
            return
        self._tell(live.ref, live.owner, owner)

    def _note_end(self, live: Live) -> None:
        self.ended[live.ref] = live.uid
        if len(self.ended) > _ENDED:
            del self.ended[next(iter(self.ended))]

    def _judged(self, live: Live, health: Health) -> None:
        """Take a verdict that took time, unless the object has moved on."""
        now = self._live.get(live.ref)
        if now is not None and (now.uid, now.resource_version) == (live.uid, live.resource_version):
            self._health[live.ref] = health
            self._tell(live.ref, live.owner)

    def _gone(self, ref: ObjectRef) -> None:
        before = self._live.pop(ref)
        self._health.pop(ref, None)
        if before is not None:
            self._tell(ref, before.owner)

    def _tell(self, ref: ObjectRef, *owners: str | None) -> None:
        for event in self._awaited.get(ref, ()):
            event.set()
        for owner in dict.fromkeys(owners):
            if owner is not None and (sink := self._sinks.get(owner)):
                sink.observed(ref)


def is_older(live: Live, known: Live | None) -> bool:
    """Tell whether ``live`` is from before ``known``.

    Kubernetes compares the resourceVersions of one resource as numbers (KEP-5504); where they are none, or the object
    was made anew, the later arrival counts.
    """
    if known is None or known.uid != live.uid:
        return False
    if live.resource_version.isdigit() and known.resource_version.isdigit():
        return int(live.resource_version) < int(known.resource_version)
    return False
