"""The order of applying and deleting: by rank, wave and dependency, and that nothing is lost by it."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.model import (
    Apply,
    Desired,
    Kind,
    Live,
    Need,
    Ordering,
    Outcome,
    Plan,
    ProjectSettings,
    Prune,
    PruneConfirmation,
    Recorded,
    Result,
    Until,
)
from agentk.apply.plan import plan
from agentk.apply.resolve import Resolved
from agentk.apply.rules.order import rank_of
from agentlink.refs import ObjectRef

SETTINGS = ProjectSettings(1, "p", "7-1", prune_confirmation=PruneConfirmation.NEVER)
KINDS = {
    name: Kind(group, "v1", name, name.lower() + "s", namespaced=namespaced)
    for group, name, namespaced in [
        ("", "Namespace", False),
        ("", "ConfigMap", True),
        ("", "Service", True),
        ("apps", "Deployment", True),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", False),
    ]
}


class Served:
    def find(self, group: str, kind: str, version: str) -> Kind | None:  # noqa: ARG002 - the lookup's shape
        return KINDS.get(kind)

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - as above
        return frozenset()


def ref_of(kind: str, name: str, namespace: str = "web") -> ObjectRef:
    found = KINDS[kind]
    return ObjectRef(found.group, kind, namespace if found.namespaced else "", name)


def desired(kind: str, name: str, *depends_on: ObjectRef, wave: int = 0, namespace: str = "web") -> Desired:
    ordering = Ordering(depends_on, wave) if depends_on or wave else None
    return Desired(ref_of(kind, name, namespace), KINDS[kind], "f.yaml", b"{}", b"d1", ordering=ordering)


def live(one: Desired) -> Live:
    return Live(one.ref, f"uid-{one.ref.name}", "5", "print", "7-1", labelled=True, ordering=one.ordering)


def recorded(one: Desired) -> Recorded:
    return Recorded(one.ref, one.digest.hex(), "print", f"uid-{one.ref.name}")


def decide(*wanted: Desired, known: tuple[Desired, ...] = (), there: tuple[Live, ...] = ()) -> Plan:
    lives = {one.ref: live(one) for one in known} | {one.ref: one for one in there}
    return plan(Resolved(tuple(wanted)), {one.ref: recorded(one) for one in known}, lives, SETTINGS, kinds=Served())


def shape(todo: Plan) -> list[tuple[list[str], list[str]]]:
    """Of each stage the names that are applied at once and those that wait."""
    return [
        ([one.desired.ref.name for one in stage.applies], [one.desired.ref.name for one in stage.late])
        for stage in todo.stages
    ]


A, B, C = (ref_of("ConfigMap", name) for name in "abc")


def test_a_dependent_waits_beside_the_stages_and_holds_up_none_of_them() -> None:
    todo = decide(
        desired("Deployment", "d"), desired("ConfigMap", "waits", ref_of("Deployment", "d")), desired("Service", "s")
    )
    assert shape(todo) == [(["s"], []), (["d"], ["waits"])]
    (waits,) = todo.stages[1].late
    assert waits.after == (Need(ref_of("Deployment", "d"), Until.HEALTHY),)


def test_what_is_in_a_namespace_that_waits_waits_with_it() -> None:
    base = desired("Deployment", "base", namespace="other")
    todo = decide(desired("ConfigMap", "inside"), desired("Namespace", "web", base.ref), base)
    assert shape(todo) == [(["base"], ["inside", "web"])]
    assert todo.stages[0].late[0].after == (Need(ref_of("Namespace", "web"), Until.APPLIED),)


def test_a_namespace_that_is_there_is_waited_for_by_nobody() -> None:
    home = desired("Namespace", "web", wave=3)
    todo = decide(home, desired("ConfigMap", "inside"), there=(replace(live(home), owner="9-9"),))
    assert shape(todo) == [(["inside"], [])]
    assert todo.stages[0].applies[0].after == ()


def test_waves_are_gated_by_everything_below_them_applied_now_or_before() -> None:
    before, now, next_, last = (
        desired("ConfigMap", "before"),
        desired("ConfigMap", "now"),
        desired("ConfigMap", "next", wave=1),
        desired("ConfigMap", "last", wave=5),
    )
    todo = decide(last, next_, now, before, known=(before,))
    assert shape(todo) == [(["now"], []), (["next"], []), (["last"], [])]
    assert [set(stage.gate) for stage in todo.stages] == [set(), {before.ref, now.ref}, {next_.ref}]


def test_a_dependency_in_a_higher_wave_takes_its_dependent_there() -> None:
    todo = decide(desired("ConfigMap", "a", B), desired("ConfigMap", "b", wave=3), desired("ConfigMap", "c"))
    assert shape(todo) == [(["c"], []), (["b"], ["a"])]
    assert A not in todo.stages[1].gate


def test_putting_back_what_drifted_waits_for_nobody() -> None:
    top, base = desired("ConfigMap", "a", B, wave=4), desired("ConfigMap", "b")
    todo = decide(top, base, known=(top, base), there=(replace(live(top), fingerprint="x"),))
    assert shape(todo) == [(["a"], [])]
    assert (todo.stages[0].gate, todo.stages[0].applies[0].after) == ((), ())


def test_an_object_outside_the_revision_is_waited_for_if_it_exists() -> None:
    there = live(desired("ConfigMap", "b"))
    assert shape(decide(desired("ConfigMap", "a", B), there=(there,))) == [([], ["a"])]
    (outcome,) = decide(desired("ConfigMap", "a", B)).decided
    assert (outcome.result, outcome.reason) == (Result.FAILED, "DependencyNotFound")
    assert "web/configmap/b" in outcome.message


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_cycle_is_listed_on_its_objects_and_the_others_go_on(order: tuple[int, ...]) -> None:
    objects = [
        desired("ConfigMap", "a", B),
        desired("ConfigMap", "b", A),
        desired("ConfigMap", "c", A),
        desired("ConfigMap", "free"),
    ]
    todo = decide(*(objects[i] for i in order))
    assert shape(todo) == [(["free"], [])]
    said = {one.ref.name: (one.result, one.reason) for one in todo.decided}
    assert said == {
        "a": (Result.FAILED, "DependencyCycle"),
        "b": (Result.FAILED, "DependencyCycle"),
        "c": (Result.SKIPPED, "DependencyFailed"),
    }
    messages = {one.ref.name: one.message for one in todo.decided}
    assert "web/configmap/a → web/configmap/b → web/configmap/a" in messages["a"]
    assert "web/configmap/b → web/configmap/a → web/configmap/b" in messages["b"]


def test_a_namespace_that_depends_on_what_is_in_it_is_a_cycle_too() -> None:
    todo = decide(desired("Namespace", "web", A), desired("ConfigMap", "a"), desired("ConfigMap", "b"))
    assert {one.ref.name: one.reason for one in todo.decided} == {
        "web": "DependencyCycle",
        "a": "DependencyCycle",
        "b": "DependencyFailed",
    }


def test_a_wave_above_a_failed_object_is_not_reached() -> None:
    theirs = desired("ConfigMap", "theirs")
    todo = decide(
        theirs,
        desired("ConfigMap", "b"),
        desired("ConfigMap", "c", wave=1),
        there=(replace(live(theirs), owner="9-9"),),
    )
    assert shape(todo) == [(["b"], [])]
    assert [(one.ref.name, one.reason) for one in todo.decided] == [
        ("theirs", "OwnedByAnotherInventory"),
        ("c", "DependencyFailed"),
    ]


def test_deleting_goes_by_what_the_live_objects_say() -> None:
    base, middle, top = desired("ConfigMap", "a"), desired("ConfigMap", "b", A), desired("ConfigMap", "c", B)
    home, early = desired("Namespace", "web"), desired("ConfigMap", "early", wave=-1)
    todo = decide(desired("Service", "stays", namespace="x"), known=(base, top, home, middle, early))
    assert [[one.ref.name for one in wave] for wave in todo.prunes] == [["c"], ["b"], ["a", "early"], ["web"]]
    after = {one.ref.name: [ref.name for ref in one.after] for wave in todo.prunes for one in wave}
    assert after == {"c": [], "b": ["c"], "a": ["b"], "early": [], "web": ["a", "b", "c", "early"]}


names = st.sampled_from("abcdefgh")
refs = st.builds(ref_of, st.sampled_from(sorted(KINDS)), names, st.sampled_from(["a", "b", "web"]))


@st.composite
def revisions(draw: st.DrawFn) -> list[Desired]:
    found = draw(st.lists(refs, unique=True, max_size=14))
    objects = []
    for ref in found:
        others = st.sampled_from([other for other in found if other != ref] or [ref_of("ConfigMap", "nowhere")])
        depends_on = tuple(draw(st.lists(others, unique=True, max_size=2))) if draw(st.booleans()) else ()
        wave = draw(st.sampled_from([0, 0, 0, -1, 2]))
        ordering = Ordering(depends_on, wave) if depends_on or wave else None
        objects.append(Desired(ref, KINDS[ref.kind], "f.yaml", b"{}", b"d1", ordering=ordering))
    return objects


def places(todo: Plan) -> dict[ObjectRef, tuple[int, Apply]]:
    return {one.desired.ref: (number, one) for number, stage in enumerate(todo.stages) for one in stage.actions}


@given(objects=revisions(), data=st.data())
def test_every_object_has_one_outcome_and_nothing_comes_before_what_it_needs(
    objects: list[Desired], data: st.DataObject
) -> None:
    known = tuple(data.draw(st.lists(st.sampled_from(objects), unique=True))) if objects else ()
    todo = decide(*objects, known=known)
    found = places(todo)
    decided = [one.ref for one in todo.decided]
    assert sorted([*found, *decided]) == sorted(one.ref for one in objects)
    assert todo.total == len(objects)
    for ref, (stage, action) in found.items():
        ordering = action.desired.ordering or Ordering()
        if not action.live_version:
            assert {need.ref for need in action.after if need.until is Until.HEALTHY} == set(ordering.depends_on)
        for need in action.after:
            if need.ref in found:
                assert found[need.ref][0] <= stage, (ref, need)
                if found[need.ref][0] == stage and need.until is Until.APPLIED:
                    assert action in todo.stages[stage].late
    ranks: dict[int, int] = {}
    wave = 0
    for one in todo.stages:
        wave += bool(one.gate)
        for action in one.applies:
            assert ranks.get(wave, -1) <= rank_of(action.desired.kind)
        ranks[wave] = max([ranks.get(wave, -1), *(rank_of(action.desired.kind) for action in one.applies)])


@given(objects=revisions(), data=st.data())
def test_the_order_of_the_files_changes_nothing(objects: list[Desired], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(objects))

    def summary(todo: Plan) -> object:
        stages = [
            (
                {one.desired.ref: set(one.after) for one in stage.applies},
                {one.desired.ref: set(one.after) for one in stage.late},
                set(stage.gate),
            )
            for stage in todo.stages
        ]
        return stages, {(one.ref, one.result, one.reason) for one in todo.decided}

    assert summary(decide(*objects)) == summary(decide(*shuffled))


@given(objects=revisions())
def test_what_needs_nothing_any_more_is_deleted_first(objects: list[Desired]) -> None:
    keeper = desired("Service", "keeper", namespace="elsewhere")
    applied = {ref: number for ref, (number, _) in places(decide(*objects, keeper)).items()}
    known = tuple(one for one in objects if one.ref in applied)
    todo = decide(keeper, known=known)
    turn = {one.ref: number for number, wave in enumerate(todo.prunes) for one in wave}
    assert turn.keys() == {one.ref for one in known}
    prunes: dict[ObjectRef, Prune] = {one.ref: one for wave in todo.prunes for one in wave}
    for one in known:
        for needed in (*(one.ordering.depends_on if one.ordering else ()), ref_of("Namespace", one.ref.namespace)):
            if needed in turn:
                assert turn[one.ref] < turn[needed]
                assert one.ref in prunes[needed].after


@given(objects=revisions(), data=st.data())
def test_nothing_is_pruned_while_anything_failed(objects: list[Desired], data: st.DataObject) -> None:
    theirs = data.draw(st.sampled_from(objects)) if objects else desired("ConfigMap", "theirs")
    left = desired("ConfigMap", "left", namespace="gone")
    todo = decide(*objects, *([] if objects else [theirs]), known=(left,), there=(replace(live(theirs), owner="9-9"),))
    assert todo.prunes == ()
    assert [one.reason for one in todo.decided if one.ref == left.ref] == ["PruneWaits"]
    assert any(isinstance(one, Outcome) and one.result is Result.FAILED for one in todo.decided)
