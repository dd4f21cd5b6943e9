from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.identity import Identity
from agentk.apply.model import InventoryPolicy, Live, ProjectSettings, Recorded
from agentk.apply.rules.adopt import refuse_to_apply
from agentlink.refs import ObjectRef

REF = ObjectRef("", "ConfigMap", "web", "settings")
MUST, IF_NONE, ALL = InventoryPolicy


def live(owner: str | None) -> Live:
    return Live(REF, "uid-1", "1", owner=owner)


@pytest.mark.parametrize("policy", InventoryPolicy)
@pytest.mark.parametrize("there", [None, live("7-1")])
def test_new_objects_and_our_own_may_always_be_applied(policy: InventoryPolicy, there: Live | None) -> None:
    assert refuse_to_apply(there, None, ProjectSettings(1, "p", "7-1", inventory_policy=policy)) is None


@pytest.mark.parametrize(
    ("policy", "owner", "reason"),
    [
        (MUST, None, "NotInInventory"),
        (IF_NONE, None, None),
        (ALL, None, None),
        (MUST, "9-9", "OwnedByAnotherInventory"),
        (IF_NONE, "9-9", "OwnedByAnotherInventory"),
        (ALL, "9-9", None),
    ],
)
def test_the_policy_decides_about_what_others_made(
    policy: InventoryPolicy, owner: str | None, reason: str | None
) -> None:
    refusal = refuse_to_apply(live(owner), None, ProjectSettings(1, "p", "7-1", inventory_policy=policy))
    assert (refusal.reason if refusal else None) == reason


ME = Identity("group/app", "group/config", "prod")


@pytest.mark.parametrize(
    ("owner", "whose", "said"),
    [
        ("9-8", replace(ME, project="group/other"), "remove it from one of the two projects"),
        ("9-8", replace(ME, agent="staging"), "if this one takes that one's place, register the agent with the id"),
        ("9-8", ME, "it is this project's own, under another number: register the agent with the id that it had"),
        (
            "9-8",
            None,
            "`kas agent create --id 9`), and set git.projects.group/app.id: 8 in kas.yaml; if no project has",
        ),
        ("9-8", None, "annotate --namespace web --overwrite ConfigMap settings config.k8s.io/owning-inventory=7-1`"),
        ("shop", None, "if another project has it, remove it from one of the two; if no project has it any more"),
    ],
)
def test_the_refusal_says_whose_it_is_and_never_to_take_whatever_others_have(
    owner: str, whose: Identity | None, said: str
) -> None:
    settings = ProjectSettings(1, "group/app", "7-1", identity=ME)
    refusal = refuse_to_apply(live(owner), None, settings, {owner: whose} if whose else {})
    assert refusal is not None
    assert f"belongs to inventory {owner}" in refusal.message
    assert str(whose or "") in refusal.message
    assert said in refusal.message
    assert "adopt_all" not in refusal.message


def test_what_has_the_number_that_was_corrected_is_the_projects_unless_somebody_else_says_that_it_is_his() -> None:
    settings = ProjectSettings(1, "group/app", "7-1", identity=ME, number_id="7-42")
    assert refuse_to_apply(live("7-42"), None, settings) is None
    assert refuse_to_apply(live("7-42"), None, settings, {"7-42": replace(ME, project="group/other")}) is not None
    assert refuse_to_apply(live("7-43"), None, settings) is not None
    assert refuse_to_apply(live(None), None, replace(settings, number_id="")) is not None


@pytest.mark.parametrize(
    ("recorded", "allowed"),
    [
        (Recorded(REF, "d", "f", "uid-1"), True),
        (Recorded(REF, "d", "f", "uid-0"), False),
        (Recorded(REF), False),
    ],
)
def test_an_object_that_lost_its_annotation_is_ours_only_if_the_inventory_knows_its_uid(
    recorded: Recorded, *, allowed: bool
) -> None:
    assert (refuse_to_apply(live(None), recorded, ProjectSettings(1, "p", "7-1")) is None) is allowed


@pytest.mark.parametrize("policy", InventoryPolicy)
@pytest.mark.parametrize("owner", [None, "9-9"])
def test_an_inventory_is_adopted_under_no_policy(policy: InventoryPolicy, owner: str | None) -> None:
    other = Live(ObjectRef("", "ConfigMap", "ops", "inventory-8-1"), "uid-1", "1", owner=owner, inventory=True)
    refusal = refuse_to_apply(other, None, ProjectSettings(1, "p", "7-1", inventory_policy=policy))
    assert refusal is not None
    assert refusal.reason == "InventoryRefused"
    assert "another name" in refusal.message


def test_a_label_that_a_stranger_puts_on_our_object_does_not_keep_it_from_being_put_back() -> None:
    ours = Live(REF, "uid-1", "1", owner="7-1", inventory=True)
    assert refuse_to_apply(ours, None, ProjectSettings(1, "p", "7-1")) is None
