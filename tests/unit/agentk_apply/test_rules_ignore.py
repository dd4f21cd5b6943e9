from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.model import IgnoreRule
from agentk.apply.pointers import PointerError
from agentk.apply.rules.ignore import hand_over, leave_out, left_to_others
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from agentk.apply.managers import Entry

REF = ObjectRef("apps", "Deployment", "shop", "web")
FIELDS = ("/spec/replicas",)
APPLIED: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:selector": {}, "f:paused": {}}}


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        (IgnoreRule(FIELDS), True),
        (IgnoreRule(FIELDS, kind="Deployment"), True),
        (IgnoreRule(FIELDS, kind="Deployment", group="apps", namespace="shop", name="web"), True),
        (IgnoreRule(FIELDS, kind="StatefulSet"), False),
        (IgnoreRule(FIELDS, group="batch"), False),
        (IgnoreRule(FIELDS, namespace="other"), False),
        (IgnoreRule(FIELDS, name="other"), False),
    ],
)
def test_a_rule_is_about_the_objects_that_it_names(rule: IgnoreRule, *, meant: bool) -> None:
    assert left_to_others(REF, [rule]) == (FIELDS if meant else ())


@pytest.mark.parametrize(
    "pointer",
    [
        "/apiVersion",
        "/metadata",
        "/metadata/name",
        "/metadata/labels",
        "/metadata/labels/agentk.io~1agent",
        "/metadata/annotations/config.k8s.io~1owning-inventory",
        "spec/replicas",
        "/spec/containers/0",
    ],
)
def test_what_an_object_is_known_by_and_what_names_no_field_cannot_be_left_to_others(pointer: str) -> None:
    with pytest.raises(PointerError):
        leave_out({"spec": {"containers": [{"name": "app"}]}}, [pointer])


def entry(manager: str, operation: str, fields: dict[str, Any]) -> Entry:
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": fields}


def test_our_share_is_handed_to_a_manager_that_holds_it_for_whoever_comes() -> None:
    others = entry("helm", "Update", {"f:spec": {"f:replicas": {}}})
    assert hand_over([entry("agentk", "Apply", APPLIED), others], FIELDS) == [
        entry("agentk", "Apply", {"f:spec": {"f:selector": {}, "f:paused": {}}}),
        others,
        entry("agentk-released", "Update", {"f:spec": {"f:replicas": {}}}),
    ]


def test_what_is_held_already_grows() -> None:
    held = hand_over([entry("agentk", "Apply", APPLIED)], FIELDS)
    assert hand_over(held, ["/spec/paused", *FIELDS])[-1] == entry(
        "agentk-released", "Update", {"f:spec": {"f:paused": {}, "f:replicas": {}}}
    )


def test_what_we_do_not_hold_changes_nothing() -> None:
    managed = [entry("agentk", "Apply", APPLIED)]
    assert hand_over(managed, ["/spec/strategy", "/metadata/labels/theirs"]) == managed


def test_a_part_of_what_is_kept_as_a_whole_is_refused() -> None:
    with pytest.raises(PointerError, match="as a whole"):
        hand_over([entry("agentk", "Apply", APPLIED)], ["/spec/selector/matchLabels"])
