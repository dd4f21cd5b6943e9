"""An inventory that says nothing and has nothing in Git may be another project's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.model import Desired, Kind, Live, Outcome, Plan, ProjectSettings, PruneConfirmation, Recorded, Result
from agentk.apply.plan import plan
from agentk.apply.resolve import Resolved
from agentk.apply.rules.unproven import is_doubtful
from agentlink.refs import ObjectRef

KIND = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
PLACE = ObjectRef("", "ConfigMap", "web", "inventory-7-1")
SETTINGS = ProjectSettings(1, "group/app", "7-1", prune_confirmation=PruneConfirmation.NEVER)
A, B, C = (ObjectRef("", "ConfigMap", "web", name) for name in "abc")


class Served:
    def find(self, group: str, kind: str, version: str) -> Kind | None:  # noqa: ARG002 - the lookup's shape
        return KIND

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - the lookup's shape
        return frozenset()


@pytest.mark.parametrize(
    ("recorded", "in_git", "doubtful"),
    [
        ([], [A], False),
        ([Recorded(A)], [A, B], False),
        ([Recorded(A), Recorded(B)], [B], False),
        ([Recorded(A)], [B], True),
        ([Recorded(A)], [], True),
        ([Recorded(A), Recorded(B, "d", "f", "uid")], [C], False),
    ],
)
def test_what_tells_is_git_or_that_agentk_has_applied_something_of_it(
    recorded: list[Recorded], in_git: list[ObjectRef], *, doubtful: bool
) -> None:
    assert is_doubtful({one.ref: one for one in recorded}, in_git) is doubtful


def decide(*in_git: ObjectRef, refused: tuple[Outcome, ...] = (), **options: object) -> Plan:
    desired = tuple(Desired(ref, KIND, "a.yaml", b"{}", b"d") for ref in in_git)
    recorded = {ref: Recorded(ref) for ref in (A, B)}
    live = {ref: Live(ref, f"uid-{ref.name}", "5", "f", "7-1") for ref in (A, B)}
    settings = replace(SETTINGS, prune=True)
    return plan(Resolved(desired, refused), recorded, live, settings, kinds=Served(), **options)  # type: ignore[arg-type]  # named by the tests below


def test_nothing_is_done_until_somebody_confirms_it_and_it_is_said_what_would_be_pruned() -> None:
    held = decide(C, unproven=PLACE)
    assert held.blocked is not None
    assert (held.blocked.ref, held.blocked.reason) == (PLACE, "InventoryNotProven")
    for word in (str(A), str(B), "agent create --id", "git.projects.group/app.id"):
        assert word in held.blocked.message
    assert "adopt_all" not in held.blocked.message
    assert {(one.ref, one.result, one.reason) for one in held.decided} == {
        (ref, Result.SKIPPED, "PruneNeedsConfirmation") for ref in (A, B)
    }
    assert (held.proven, held.total, held.prunes, held.record) == (False, 3, (), None)

    confirmed = decide(C, unproven=PLACE, prune_confirmed=True)
    assert confirmed.proven
    assert {prune.ref for wave in confirmed.prunes for prune in wave} == {A, B}


def test_one_object_in_git_proves_it_even_one_that_cannot_be_applied() -> None:
    assert {prune.ref for wave in decide(A, unproven=PLACE).prunes for prune in wave} == {B}
    refused = (Outcome(A, Result.FAILED, "a.yaml", "UnknownKind", "no"),)
    proven = decide(C, refused=refused, unproven=PLACE)
    assert proven.blocked is None
    assert proven.proven


def test_an_empty_revision_proves_nothing_and_stops_nothing() -> None:
    empty = decide(unproven=PLACE)
    assert (empty.blocked, empty.proven, empty.prunes) == (None, False, ())


def test_an_inventory_that_says_that_it_is_the_projects_is_not_doubted() -> None:
    assert {prune.ref for wave in decide(C).prunes for prune in wave} == {A, B}
