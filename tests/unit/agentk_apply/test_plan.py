from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.model import (
    Desired,
    DryRun,
    Kind,
    Live,
    Need,
    Outcome,
    Plan,
    ProjectSettings,
    Recorded,
    Result,
    Until,
    Why,
)
from agentk.apply.plan import plan
from agentk.apply.resolve import Resolved
from agentlink.refs import ObjectRef

SETTINGS = ProjectSettings(1, "p", "7-1")
KINDS = {
    name: Kind(group, "v1", name, name.lower() + "s", namespaced=name not in {"Namespace", "CustomResourceDefinition"})
    for group, name in [
        ("", "Namespace"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("", "ConfigMap"),
        ("", "ServiceAccount"),
        ("apps", "Deployment"),
    ]
}


class Served:
    def find(self, group: str, kind: str, version: str) -> Kind | None:  # noqa: ARG002 - the lookup's shape
        return KINDS.get(kind)

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - the lookup's shape
        return frozenset()


def desired(kind: str, name: str, digest: bytes = b"d1") -> Desired:
    found = KINDS[kind]
    return Desired(
        ObjectRef(found.group, kind, "web" if found.namespaced else "", name), found, "f.yaml", b"{}", digest
    )


def recorded(one: Desired) -> Recorded:
    return Recorded(one.ref, one.digest.hex(), "print", f"uid-{one.ref.name}")


def live(one: Desired) -> Live:
    return Live(one.ref, f"uid-{one.ref.name}", "5", "print", "7-1", labelled=True)


A, B, C = (desired("ConfigMap", name) for name in "abc")


def decide(
    wanted: list[Desired],
    *,
    records: list[Recorded] | None = None,
    lives: list[Live] | None = None,
    refused: tuple[Outcome, ...] = (),
    settings: ProjectSettings = SETTINGS,
) -> Plan:
    return plan(
        Resolved(tuple(wanted), refused),
        {one.ref: one for one in records or []},
        {one.ref: one for one in lives or []},
        settings,
        kinds=Served(),
    )


def test_a_sync_that_changes_nothing_plans_nothing() -> None:
    todo = decide([A, B], records=[recorded(A), recorded(B)], lives=[live(A), live(B)])
    assert (todo.stages, todo.prunes, todo.record, todo.forget) == ((), (), None, ())
    assert [one.result for one in todo.decided] == [Result.UNCHANGED] * 2


def test_new_objects_are_recorded_before_and_applied_without_force() -> None:
    todo = decide([A, B], records=[recorded(A)], lives=[live(A)])
    ((action,),) = (stage.applies for stage in todo.stages)
    assert (action.desired, action.why, action.force, action.live_version) == (B, Why.NEW, False, None)
    assert todo.record == (A.ref, B.ref)


def test_a_changed_object_is_applied_without_force_and_without_writing_its_name_again() -> None:
    todo = decide([replace(A, digest=b"d2")], records=[recorded(A)], lives=[live(A)])
    ((action,),) = (stage.applies for stage in todo.stages)
    assert (action.why, action.force, action.live_version) == (Why.CHANGED, False, "5")
    assert todo.record is None


@pytest.mark.parametrize(
    ("there", "force"),
    [
        (replace(live(A), fingerprint="other"), True),
        (replace(live(A), fingerprint="other", appliers=frozenset({"flux"})), False),
        (None, False),
    ],
)
def test_drift_is_put_back(there: Live | None, *, force: bool) -> None:
    todo = decide([A], records=[recorded(A)], lives=[there] if there else [])
    ((action,),) = (stage.applies for stage in todo.stages)
    assert (action.why, action.force) == (Why.DRIFTED, force)


def test_an_object_of_another_inventory_fails_and_nothing_is_pruned() -> None:
    todo = decide([A], records=[recorded(B)], lives=[replace(live(A), owner="9-9"), live(B)])
    assert (todo.stages, todo.prunes, todo.forget) == ((), (), ())
    assert [(one.result, one.reason) for one in todo.decided] == [
        (Result.FAILED, "OwnedByAnotherInventory"),
        (Result.SKIPPED, "PruneWaits"),
    ]
    assert todo.record is None


def test_the_rest_of_a_revision_with_a_refused_object_is_applied_but_nothing_is_pruned() -> None:
    refused = Outcome(ObjectRef("x", "Odd", "", "o"), Result.FAILED, "f.yaml", "UnknownKind", "…")
    todo = decide([A], records=[recorded(B)], lives=[live(B)], refused=(refused,))
    assert [len(stage.applies) for stage in todo.stages] == [1]
    assert (todo.prunes, todo.forget) == ((), ())


@pytest.mark.parametrize("namespace", ["", "default"])
def test_a_refused_object_that_the_inventory_knows_has_left_nothing(namespace: str) -> None:
    refused = Outcome(ObjectRef("x", "Odd", "", "o"), Result.FAILED, "f.yaml", "UnknownKind", "…")
    todo = decide([], records=[Recorded(refused.ref._replace(namespace=namespace))], refused=(refused,))
    assert todo.decided == (refused,)


def test_an_empty_snapshot_prunes_nothing_and_says_so() -> None:
    todo = decide([], records=[recorded(A)], lives=[live(A)])
    assert (todo.prunes, todo.forget) == ((), ())
    assert [one.reason for one in todo.decided] == ["EmptySnapshot"]


def test_an_object_that_left_git_is_pruned_after_everything() -> None:
    todo = decide([A], records=[recorded(A), recorded(B)], lives=[live(A), live(B)])
    assert [[prune.ref for prune in wave] for wave in todo.prunes] == [[B.ref]]
    assert todo.total == 2


WIDGET = Kind("example.com", "v1", "Widget", "widgets", namespaced=True)


def test_custom_resources_wait_for_their_kind_and_nothing_else_does() -> None:
    crd = replace(desired("CustomResourceDefinition", "widgets.example.com"), defines=(WIDGET,))
    resource = Desired(ObjectRef("example.com", "Widget", "web", "w"), WIDGET, "f.yaml", b"{}", b"d1")
    todo = decide([resource, crd, A])
    assert [[action.desired for action in stage.applies] for stage in todo.stages] == [[crd], [A], [resource]]
    assert [action.after for stage in todo.stages for action in stage.applies] == [
        (),
        (),
        (Need(crd.ref, Until.SERVED),),
    ]


def test_custom_resources_whose_kind_is_served_wait_for_nothing_though_their_crd_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(KINDS, "Widget", WIDGET)
    crd = replace(desired("CustomResourceDefinition", "widgets.example.com"), defines=(WIDGET,))
    todo = decide([desired("Widget", "w"), crd])
    assert [[action.after for action in stage.applies] for stage in todo.stages] == [[()], [()]]


def test_ranks_that_hold_objects_are_stages_of_their_own() -> None:
    crd = replace(desired("CustomResourceDefinition", "widgets.example.com"), defines=(WIDGET,))
    namespace, account, deployment = (
        desired("Namespace", "web"),
        desired("ServiceAccount", "s"),
        desired("Deployment", "d"),
    )
    todo = decide([deployment, crd, A, account, namespace])
    assert [[action.desired for action in stage.applies] for stage in todo.stages] == [
        [namespace],
        [crd],
        [A, account],
        [deployment],
    ]


def test_an_object_that_asks_to_be_left_alone_is_created_and_then_left_alone() -> None:
    alone = replace(A, ignore_mutation=True)
    changed, drifted = replace(alone, digest=b"d2"), replace(live(A), fingerprint="x", ignore_mutation=True)
    assert decide([alone]).stages
    assert [one.reason for one in decide([changed], records=[recorded(A)], lives=[drifted]).decided] == [
        "MutationIgnored"
    ]
    assert decide([changed], records=[recorded(A)], lives=[live(A)]).stages
    assert decide([replace(A, digest=b"d2")], records=[recorded(A)], lives=[drifted]).stages


def test_a_revision_that_contradicts_itself_plans_nothing_at_all() -> None:
    blocked = Outcome(A.ref, Result.FAILED, "f.yaml", "DuplicateObject", "…")
    todo = plan(Resolved((A,), blocked=blocked), {B.ref: recorded(B)}, {B.ref: live(B)}, SETTINGS, kinds=Served())
    assert todo == Plan(blocked=blocked, total=1)


@pytest.mark.parametrize("dry_run", [DryRun.CLIENT, DryRun.SERVER])
def test_a_rehearsal_leaves_the_inventory_alone(dry_run: DryRun) -> None:
    settings = replace(SETTINGS, dry_run=dry_run)
    todo = decide([A], records=[recorded(B), recorded(C)], lives=[live(B)], settings=settings)
    assert (todo.record, todo.forget, todo.dry_run) == (None, (), dry_run)
    assert todo.stages
    assert todo.prunes


objects = st.lists(
    st.builds(desired, st.sampled_from(sorted(KINDS)), st.sampled_from("abcdef")),
    unique_by=lambda one: one.ref,
    max_size=20,
)


@given(wanted=objects, known=objects, there=objects, data=st.data())
def test_every_object_has_exactly_one_outcome_and_no_name_is_lost(
    wanted: list[Desired], known: list[Desired], there: list[Desired], data: st.DataObject
) -> None:
    lives = [replace(live(one), fingerprint=data.draw(st.sampled_from(["print", "x"]))) for one in there]
    lives = [replace(one, owner=data.draw(st.sampled_from(["7-1", "9-9", None]))) for one in lives]
    todo = decide(wanted, records=[recorded(one) for one in known], lives=lives)
    applied = [action.desired.ref for stage in todo.stages for action in stage.applies]
    pruned = [prune.ref for wave in todo.prunes for prune in wave]
    decided = [one.ref for one in todo.decided]
    seen = applied + pruned + decided
    assert len(seen) == len(set(seen)) == todo.total
    refs = {one.ref for one in wanted}
    old = {one.ref for one in known}
    assert refs | old == set(seen) | set(todo.forget)
    assert not set(pruned) & refs
    assert set(applied) <= set(todo.record if todo.record is not None else old)
    assert old <= set(todo.record if todo.record is not None else old)
    assert todo == decide(wanted, records=[recorded(one) for one in known], lives=lives)


def test_objects_are_applied_in_a_namespace_that_is_refused_because_it_may_well_exist() -> None:
    inside = desired("ConfigMap", "inside")
    home = ObjectRef("", "Namespace", "", "web")
    refused = Outcome(home, Result.FAILED, "n.yaml", "Protected", "belongs to agentk itself")
    todo = plan(Resolved((inside,), (refused,)), {}, {}, SETTINGS, kinds=Served())
    assert [action.desired.ref for stage in todo.stages for action in stage.actions] == [inside.ref]
    assert todo.decided == (refused,)
