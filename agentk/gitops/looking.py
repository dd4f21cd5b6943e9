"""What the cluster holds of what one sync is about: from the watches where they tell, by asking where not."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

from agentk.apply.kinds import served_as
from agentk.apply.rules.forbidden import hidden_by, place_of, why_hidden
from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentk.apply.model import Desired, Kind, Refusal
    from agentk.apply.resolve import Resolved
    from agentk.apply.rules.forbidden import Place
    from agentk.gitops.observer import Observer
    from agentk.gitops.seen import Seen
    from agentk.kube.discovery import Discovery
    from agentk.kube.objects import Objects
    from agentlink.refs import ObjectRef


class Looking:
    """Looks through one view of the cluster, with the rights of one project."""

    def __init__(self, observer: Observer, objects: Objects, discovery: Discovery, *, as_agent: bool) -> None:
        """Look through ``objects``; the watches are the agent's: without ``as_agent`` they tell of own ones alone."""
        self._as_agent = as_agent
        self._observer = observer
        self._objects = objects
        self._discovery = discovery

    async def watch(self, resolved: Resolved, recorded: Iterable[ObjectRef]) -> dict[Place, Refusal]:
        """Watch the kinds of these objects and of what they depend on; return the places that cannot be watched.

        Kinds of CRDs that are yet to be applied are left out.

        Raises:
            KubeError: As for ``Observer.ensure``.
        """
        namespaces: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for ref in (*(one.ref for one in resolved.desired), *recorded, *dependencies(resolved.desired)):
            namespaces[ref.group, ref.kind].add(ref.namespace)
        find = self._discovery.find
        wanted = {
            kind: frozenset(found)
            for (group, name), found in sorted(namespaces.items())
            if (kind := find(group, name, ""))
        }
        return await self._observer.ensure(wanted)

    async def look_at(
        self, desired: Iterable[Desired], recorded: Iterable[ObjectRef], needed: Iterable[ObjectRef] = ()
    ) -> tuple[Seen, dict[Place, Refusal]]:
        """Take what the watches know, and ask for the rest, which may exist without our label.

        Args:
            desired: What Git wants.
            recorded: What the inventory remembers.
            needed: What these depend on, which may be anybody's.

        Returns:
            What exists, and the places that we cannot look at, with the reason.
        """
        own = dict.fromkeys((*(one.ref for one in desired), *recorded))
        refs = own | dict.fromkeys(needed)
        live = self._observer.live.some(refs if self._as_agent else own)
        ask: defaultdict[Kind, list[ObjectRef]] = defaultdict(list)
        for ref in refs:
            if ref not in live and (kind := served_as(self._discovery, ref)):
                ask[kind].append(ref)
        hidden: dict[Place, Refusal] = {}
        for kind, unseen in ask.items():
            if await self._lookup(kind, unseen, live) is not None:
                # Somewhere we cannot look; find out where.
                for place, there in groupby(sorted(unseen, key=place_of), key=place_of):
                    if (why := await self._lookup(kind, there, live)) is not None:
                        hidden[place] = why
        return live, hidden

    async def _lookup(self, kind: Kind, refs: Iterable[ObjectRef], live: Seen) -> Refusal | None:
        """Look objects up into ``live``; return why they cannot be seen, if that is about this kind alone."""
        try:
            found = await self._objects.lookup(kind, refs)
        except KubeError as error:
            if not hidden_by(error.status):
                raise
            return why_hidden(error.status, error.reason, error.message)
        for one in found.values():
            live.put(one)
        return None


def dependencies(desired: Iterable[Desired]) -> Iterator[ObjectRef]:
    """Yield what annotations name, which need not be objects of the project."""
    for one in desired:
        if one.ordering is not None:
            yield from one.ordering.depends_on
