"""Whose objects are really a project's: what Git and records say counts, and what labels claim does not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentk.apply.inventory import InventoryError
from agentk.apply.model import Desired, Kind, Live, Ordering, Recorded
from agentk.gitops.holders import Held, genuine
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
NEEDED = ObjectRef("", "ConfigMap", "team", "needed")
SAYS = Ordering((NEEDED,))


def live(name: str, *, owner: str | None = "7-2", uid: str = "u", ordering: Ordering | None = SAYS) -> Live:
    return Live(ObjectRef("", "ConfigMap", "team", name), uid, "1", owner=owner, labelled=True, ordering=ordering)


@dataclass
class Project:
    desired: Mapping[ObjectRef, Desired]
    recorded: Mapping[ObjectRef, Recorded]
    unreadable: bool = False

    async def held(self) -> Held:
        if self.unreadable:
            raise InventoryError("it", "is broken")
        return Held(self.desired, self.recorded)


def found(*claimed: Live, **projects: Project) -> dict[str, Ordering | None]:
    holders = {name.replace("_", "-").removeprefix("i"): project for name, project in projects.items()}
    kept = asyncio.run(genuine(claimed, lambda: holders, but="7-1"))
    return {one.ref.name: one.ordering for one in kept}


def wanted(one: Live, ordering: Ordering | None = None) -> dict[ObjectRef, Desired]:
    return {one.ref: Desired(one.ref, KIND, "a.yaml", None, b"", ordering=ordering)}


def test_what_no_project_wants_or_recorded_is_nobodys_whatever_it_claims() -> None:
    stranger = live("stranger")
    other = Recorded(stranger.ref, uid="another")
    named = Recorded(stranger.ref)
    assert found(stranger, i7_2=Project({}, {})) == {}
    assert found(stranger, i7_2=Project({}, {stranger.ref: other})) == {}
    assert found(stranger, i7_2=Project({}, {stranger.ref: named})) == {}
    assert found(replace(stranger, owner="7-3"), i7_2=Project({}, {})) == {}


def test_what_a_project_wants_needs_what_its_git_says_and_nothing_that_others_wrote_on_it() -> None:
    one = live("app")
    assert found(one, i7_2=Project(wanted(one), {})) == {"app": None}
    assert found(replace(one, ordering=None, owner=None), i7_2=Project(wanted(one, SAYS), {})) == {"app": SAYS}


def test_what_a_project_has_applied_counts_by_its_uid_until_it_is_gone() -> None:
    one = live("left")
    assert found(one, i7_2=Project({}, {one.ref: Recorded(one.ref, uid="u")})) == {"left": SAYS}


def test_the_project_that_asks_does_not_count() -> None:
    one = live("mine", owner="7-1")
    assert found(one, i7_1=Project(wanted(one), {})) == {}


def test_of_a_project_that_cannot_be_asked_claims_count() -> None:
    one = live("maybe")
    assert found(one, live("never", owner="7-3"), i7_2=Project({}, {}, unreadable=True)) == {"maybe": SAYS}


def test_without_knowing_the_projects_claims_count() -> None:
    kept = asyncio.run(genuine((live("a"), live("b", owner=None)), None, but="7-1"))
    assert [one.ref.name for one in kept] == ["a"]
