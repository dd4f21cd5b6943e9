from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.model import (
    InventoryPolicy,
    Kind,
    Live,
    Ordering,
    ProjectSettings,
    Propagation,
    PruneConfirmation,
    Recorded,
    Refusal,
    Result,
)
from agentk.apply.rules.own import NOTHING_OWN, OwnObjects
from agentk.apply.rules.prune import Pruning, decide
from agentlink.refs import ObjectRef

SETTINGS = ProjectSettings(1, "p", "7-1", propagation=Propagation.BACKGROUND)
REF = ObjectRef("", "ConfigMap", "web", "settings")
RECORDED = Recorded(REF, "digest", "print", "uid-1")
LIVE = Live(REF, "uid-1", "1", "print", "7-1", labelled=True)

OWN = OwnObjects(refs=frozenset({ObjectRef("", "Namespace", "", "agentk-system")}))


class AllServed:
    """A cluster that serves every kind but one."""

    def find(self, group: str, kind: str, version: str) -> Kind | None:
        return None if kind == "Gone" else Kind(group, version or "v1", kind, kind.lower() + "s", namespaced=True)

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - the lookup's shape
        return frozenset()


def pruning(
    *left: tuple[Recorded, Live | None],
    settings: ProjectSettings = SETTINGS,
    owned: int = 100,
    hold: Refusal | None = None,
    confirmed: bool = False,
) -> Pruning:
    return decide(
        [recorded for recorded, _ in left],
        {recorded.ref: live for recorded, live in left if live is not None},
        settings,
        kinds=AllServed(),
        owned=owned,
        hold=hold,
        own=OWN,
        confirmed=confirmed,
    )


def of(group: str, kind: str, name: str, namespace: str = "web") -> tuple[Recorded, Live]:
    ref = ObjectRef(group, kind, namespace, name)
    return replace(RECORDED, ref=ref), replace(LIVE, ref=ref)


def test_an_object_that_left_git_is_deleted_with_its_uid() -> None:
    ((prune,),) = pruning((RECORDED, LIVE)).waves
    assert (prune.ref, prune.uid, prune.propagation) == (REF, "uid-1", Propagation.BACKGROUND)
    assert (prune.owner, prune.version) == ("7-1", "1")


def test_an_object_taken_over_without_uid_is_deleted_with_the_one_it_has_now() -> None:
    ((prune,),) = pruning((Recorded(REF), LIVE)).waves
    assert prune.uid == "uid-1"


@pytest.mark.parametrize("prune", [True, False])
def test_an_object_that_is_gone_already_counts_as_pruned_and_is_forgotten(*, prune: bool) -> None:
    decided = pruning((RECORDED, None), of("", "Secret", "there"), settings=replace(SETTINGS, prune=prune))
    assert decided.forget == (REF,)
    (told, *_) = decided.decided
    assert (told.ref, told.result, told.reason) == (REF, Result.PRUNED, "AlreadyGone")
    assert {one.ref for one in decided.decided if one.reason == "PruneDisabled"} == (
        set() if prune else {ObjectRef("", "Secret", "web", "there")}
    )


def test_what_is_gone_already_does_not_make_a_prune_large() -> None:
    left = [of("", "ConfigMap", f"c-{number}") for number in range(10)]
    gone: list[tuple[Recorded, Live | None]] = [(recorded, None) for recorded, _ in left]
    assert pruning(*left, owned=10).waves == ()
    assert pruning(left[0], *gone[1:], owned=10).waves


@pytest.mark.parametrize(
    ("live", "reason"),
    [
        (replace(LIVE, uid="uid-2"), "Recreated"),
        (replace(LIVE, owner="9-9"), "NotOurs"),
        (replace(LIVE, owner=None), "NotOurs"),
    ],
)
def test_what_is_not_ours_to_delete_stays_and_is_forgotten(live: Live, reason: str) -> None:
    decided = pruning((RECORDED, live))
    assert decided.waves == ()
    assert decided.forget == (REF,)
    assert [(one.result, one.reason) for one in decided.decided] == [(Result.SKIPPED, reason)]


@pytest.mark.parametrize("policy", [InventoryPolicy.ADOPT_IF_NO_INVENTORY, InventoryPolicy.ADOPT_ALL])
def test_what_is_not_annotated_as_ours_is_not_deleted_or_let_go_even_where_it_would_be_adopted(
    policy: InventoryPolicy,
) -> None:
    settings = replace(SETTINGS, inventory_policy=policy)
    for live in (replace(LIVE, owner=None), replace(LIVE, owner=None, keep_on_remove=True)):
        decided = pruning((RECORDED, live), settings=settings)
        assert (decided.waves, decided.releases, decided.forget) == ((), (), (REF,))


def test_what_is_outside_the_allowed_namespaces_is_not_deleted_or_let_go_and_stays_on_record() -> None:
    settings = replace(SETTINGS, allowed_namespaces=("shop",))
    left = [of("", "ConfigMap", "a"), of("", "Node", "b", ""), of("", "Secret", "c", "shop")]
    kept = replace(LIVE, ref=left[0][0].ref._replace(name="d"), keep_on_remove=True)
    decided = pruning(*left, (replace(RECORDED, ref=kept.ref), kept), settings=settings)
    assert [prune.ref.name for wave in decided.waves for prune in wave] == ["c"]
    assert (decided.releases, decided.forget) == ((), ())
    assert {(one.ref.name, one.reason) for one in decided.decided} == {
        (name, "OutsideAllowedNamespaces") for name in "abd"
    }


@pytest.mark.parametrize("policy", list(InventoryPolicy))
def test_the_key_of_inventories_is_never_deleted(policy: InventoryPolicy) -> None:
    settings = replace(SETTINGS, inventory_policy=policy)
    decided = pruning(of("", "Secret", "agentk-inventory-key"), settings=settings)
    assert (decided.waves, [one.reason for one in decided.decided]) == ((), ["Protected"])


def test_another_inventorys_object_is_never_deleted_even_where_all_is_adopted() -> None:
    settings = replace(SETTINGS, inventory_policy=InventoryPolicy.ADOPT_ALL)
    assert not pruning((RECORDED, replace(LIVE, owner="9-9")), settings=settings).waves


def test_an_object_whose_kind_is_not_served_now_stays_on_record() -> None:
    decided = pruning((replace(RECORDED, ref=REF._replace(kind="Gone")), None))
    assert (decided.waves, decided.forget) == ((), ())
    (skipped,) = decided.decided
    assert (skipped.reason, "taken out of the inventory" in skipped.message) == ("UnknownKind", True)


def test_the_namespace_that_agentk_runs_in_is_never_pruned() -> None:
    decided = pruning(of("", "Namespace", "agentk-system", ""), confirmed=True)
    assert (decided.waves, decided.forget) == ((), ())
    assert [one.reason for one in decided.decided] == ["Protected"]


@pytest.mark.parametrize(
    ("settings", "hold", "reason"),
    [
        (replace(SETTINGS, prune=False), None, "PruneDisabled"),
        (SETTINGS, Refusal("PruneWaits", "not complete"), "PruneWaits"),
    ],
)
def test_nothing_is_pruned_or_forgotten_while_pruning_is_held(
    settings: ProjectSettings, hold: Refusal | None, reason: str
) -> None:
    decided = pruning((RECORDED, LIVE), of("", "Secret", "gone"), settings=settings, hold=hold)
    assert (decided.waves, decided.forget) == ((), ())
    assert [one.reason for one in decided.decided] == [reason, reason]


def test_deleting_runs_in_the_reverse_order_of_applying() -> None:
    left = (
        of("", "Namespace", "web", ""),
        of("apiextensions.k8s.io", "CustomResourceDefinition", "widgets.example.com", ""),
        of("", "ConfigMap", "a"),
        of("apps", "Deployment", "b"),
        of("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "c", ""),
    )
    waves = pruning(*left, confirmed=True).waves
    assert [[prune.ref.name for prune in wave] for wave in waves] == [
        ["c"],
        ["b"],
        ["a"],
        ["widgets.example.com"],
        ["web"],
    ]


@pytest.mark.parametrize(
    ("group", "kind"),
    [("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")],
)
def test_a_prune_with_a_precious_kind_waits_as_a_whole_and_names_it(group: str, kind: str) -> None:
    decided = pruning((RECORDED, LIVE), of(group, kind, "precious"))
    assert (decided.waves, decided.forget) == ((), ())
    assert [one.reason for one in decided.decided] == ["PruneNeedsConfirmation"] * 2
    assert "precious" in decided.decided[0].message


def test_a_volume_waits_alone_and_keeps_its_namespace() -> None:
    data = of("", "PersistentVolumeClaim", "data")
    decided = pruning((RECORDED, LIVE), data)
    assert [[one.ref.name for one in wave] for wave in decided.waves] == [[REF.name]]
    assert [(one.ref.name, one.reason) for one in decided.decided] == [("data", "PruneNeedsConfirmation")]
    assert sum(len(wave) for wave in pruning((RECORDED, LIVE), data, confirmed=True).waves) == 2


@pytest.mark.parametrize(
    ("leaving", "owned", "waits"),
    [(1, 2, False), (2, 2, False), (9, 9, False), (10, 20, False), (10, 19, True), (10, 10, True), (40, 100, False)],
)
def test_a_prune_of_ten_or_more_over_half_of_the_project_waits(leaving: int, owned: int, *, waits: bool) -> None:
    left = [of("", "ConfigMap", f"c{i}") for i in range(leaving)]
    decided = pruning(*left, owned=owned)
    assert bool(decided.decided) is waits
    assert bool(decided.waves) is not waits
    assert pruning(*left, owned=owned, confirmed=True).waves


def test_objects_that_stay_anyway_do_not_make_a_prune_large() -> None:
    left = [
        (one, replace(live, keep_on_remove=i > 0))
        for i, (one, live) in enumerate(of("", "Role", f"r{i}") for i in range(12))
    ]
    decided = pruning(*left, owned=12)
    assert [len(wave) for wave in decided.waves] == [1]


@pytest.mark.parametrize("policy", InventoryPolicy)
@pytest.mark.parametrize("name", ["inventory-7-1", "inventory-7-1.3", "inventory-7-2"])
def test_an_inventory_that_somebody_wrote_into_the_inventory_is_let_go_and_not_deleted(
    name: str, policy: InventoryPolicy
) -> None:
    for owner in ("7-1", None):
        recorded, live = of("", "ConfigMap", name)
        found = pruning((recorded, replace(live, owner=owner)), settings=replace(SETTINGS, inventory_policy=policy))
        assert found.waves == ()
        assert found.forget == (recorded.ref,)


def test_an_object_whose_annotations_ask_to_stay_is_let_go() -> None:
    decided = pruning((RECORDED, replace(LIVE, keep_on_remove=True)))
    assert (decided.waves, decided.forget, decided.decided) == ((), (), ())
    assert [(one.ref, one.uid) for one in decided.releases] == [(REF, "uid-1")]


def test_the_namespace_of_the_inventory_is_never_pruned() -> None:
    settings = replace(SETTINGS, default_namespace="shop")
    decided = pruning(of("", "Namespace", "shop", ""), settings=settings, confirmed=True)
    assert [one.reason for one in decided.decided] == ["Protected"]
    assert decided.forget == ()


@pytest.mark.parametrize(
    ("confirmation", "percent", "owned", "count", "waits"),
    [
        (PruneConfirmation.WHEN_LARGE, 50, 20, 10, False),
        (PruneConfirmation.WHEN_LARGE, 50, 19, 10, True),
        (PruneConfirmation.WHEN_LARGE, 10, 100, 10, False),
        (PruneConfirmation.WHEN_LARGE, 10, 99, 10, True),
        (PruneConfirmation.WHEN_LARGE, 1, 10, 9, False),
        (PruneConfirmation.WHEN_LARGE, 100, 10, 10, False),
        (PruneConfirmation.ALWAYS, 50, 1000, 1, True),
        (PruneConfirmation.NEVER, 1, 10, 10, False),
    ],
)
def test_a_prune_waits_as_the_configuration_says(
    confirmation: PruneConfirmation, percent: int, owned: int, count: int, *, waits: bool
) -> None:
    settings = replace(SETTINGS, prune_confirmation=confirmation, prune_large_percent=percent)
    left = [of("", "ConfigMap", f"c{i}") for i in range(count)]
    decided = pruning(*left, settings=settings, owned=owned)
    assert [one.reason for one in decided.decided] == (["PruneNeedsConfirmation"] * count if waits else [])
    assert sum(len(wave) for wave in decided.waves) == (0 if waits else count)
    assert pruning(*left, settings=settings, owned=owned, confirmed=True).waves


def test_a_configuration_that_never_asks_prunes_precious_kinds_too() -> None:
    settings = replace(SETTINGS, prune_confirmation=PruneConfirmation.NEVER)
    assert pruning(of("", "PersistentVolumeClaim", "data"), settings=settings).waves


def test_what_is_let_go_keeps_its_namespace_and_what_it_depends_on() -> None:
    needed, live_needed = of("", "Secret", "needed")
    kept, live_kept = of("", "ConfigMap", "kept")
    live_kept = replace(live_kept, keep_on_remove=True, ordering=Ordering((needed.ref,)))
    decided = pruning(
        (needed, live_needed),
        (kept, live_kept),
        of("", "Namespace", "web", ""),
        of("", "Secret", "free"),
        confirmed=True,
    )
    assert {one.ref.name: one.reason for one in decided.decided} == {"needed": "DependedOn", "web": "NamespaceInUse"}
    assert [one.ref.name for one in decided.releases] == ["kept"]
    assert [[one.ref.name for one in wave] for wave in decided.waves] == [["free"]]


def test_what_another_project_needs_stays() -> None:
    other = replace(LIVE, ref=REF._replace(name="theirs"), owner="9-9", ordering=Ordering((REF,)))
    decided = decide(
        [RECORDED],
        {REF: LIVE},
        SETTINGS,
        kinds=AllServed(),
        owned=100,
        hold=None,
        own=NOTHING_OWN,
        confirmed=False,
        others=[other],
    )
    assert decided.waves == ()
    assert [(one.reason, "web/configmap/theirs" in one.message) for one in decided.decided] == [("DependedOn", True)]
