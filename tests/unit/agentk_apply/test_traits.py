from __future__ import annotations

from typing import Any

import orjson
import pytest

from agentk.apply.model import Desired, DriftPolicy, IgnoreRule, Kind, Traits, given_body
from agentk.apply.rules.autoscale import may_be_scaled, scaled_by
from agentk.apply.traits import InvalidTraitError, leave_scaled, traits_of
from agentlink.refs import ObjectRef

REF = ObjectRef("apps", "Deployment", "shop", "web")
HPA = ObjectRef("autoscaling", "HorizontalPodAutoscaler", "shop", "scaler")
KIND = Kind("apps", "v1", "Deployment", "deployments", namespaced=True)
RULE = IgnoreRule(("/spec/replicas",), kind="Deployment")


def manifest(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}, "spec": {"replicas": 3, "paused": True}}


def read(ref: ObjectRef, document: dict[str, Any], *rules: IgnoreRule) -> tuple[Traits | None, Any]:
    traits, body = traits_of(ref, document, orjson.dumps(document), rules)
    return traits, orjson.loads(body)


def test_an_object_that_asks_for_nothing_has_no_traits() -> None:
    assert read(REF, manifest()) == (None, manifest())
    assert read(REF, manifest(), IgnoreRule(("/spec/replicas",), kind="Job")) == (None, manifest())


@pytest.mark.parametrize(
    ("annotation", "value", "traits"),
    [
        ("agentk.io/drift", "report", Traits(drift=DriftPolicy.REPORT)),
        ("agentk.io/drift", "ignore", Traits(drift=DriftPolicy.IGNORE)),
        ("agentk.io/force-conflicts", "true", Traits(force_conflicts=True)),
        ("agentk.io/recreate", "true", Traits(recreate=True)),
        ("agentk.io/recreate", "false", None),
    ],
)
def test_annotations_are_read(annotation: str, value: str, traits: Traits | None) -> None:
    assert read(REF, manifest(**{annotation: value}))[0] == traits


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        ("agentk.io/drift", "sometimes", "InvalidAnnotation"),
        ("agentk.io/recreate", "yes", "InvalidAnnotation"),
        ("agentk.io/ignore-fields", "spec/replicas", "InvalidIgnoreRule"),
        ("agentk.io/ignore-fields", "/metadata/name", "InvalidIgnoreRule"),
    ],
)
def test_what_cannot_be_obeyed_is_an_error(annotation: str, value: str, reason: str) -> None:
    with pytest.raises(InvalidTraitError) as caught:
        read(REF, manifest(**{annotation: value}))
    assert caught.value.reason == reason


def test_ignored_fields_are_left_out_of_the_body_and_kept_for_creation() -> None:
    whole = manifest(**{"agentk.io/ignore-fields": "/spec/paused"})
    traits, body = read(REF, whole, RULE)
    assert body["spec"] == {}
    assert traits is not None
    assert traits.left == ("/spec/paused", "/spec/replicas")
    assert traits.full is not None
    assert orjson.loads(traits.full)["spec"] == {"replicas": 3, "paused": True}


@pytest.mark.parametrize(
    ("ref", "target", "scaled"),
    [
        (HPA, {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, REF),
        (HPA, {"kind": "ReplicationController", "name": "old"}, ObjectRef("", "ReplicationController", "shop", "old")),
        (HPA, {"name": "web"}, None),
        (HPA, None, None),
        (REF, {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, None),
    ],
)
def test_an_autoscaler_names_what_it_scales(ref: ObjectRef, target: object, scaled: ObjectRef | None) -> None:
    assert scaled_by(ref, {"spec": {"scaleTargetRef": target}}) == scaled


@pytest.mark.parametrize(
    ("group", "kind", "may"),
    [
        ("apps", "Deployment", True),
        ("", "ReplicationController", True),
        ("", "ConfigMap", False),
        ("apps", "DaemonSet", False),
        ("networking.k8s.io", "Ingress", False),
        ("argoproj.io", "Rollout", True),
    ],
)
def test_autoscalers_are_looked_for_only_where_something_may_be_scaled(group: str, kind: str, *, may: bool) -> None:
    assert may_be_scaled(group, kind) is may


def test_replicas_of_what_is_scaled_are_left_out_whoever_holds_the_autoscaler() -> None:
    body = orjson.dumps({"spec": {"replicas": 3, "paused": True}})
    web, other = (Desired(ref, KIND, "f", body, b"d") for ref in (REF, ObjectRef("apps", "Deployment", "shop", "b")))
    in_git = Desired(HPA, KIND, "f", b"{}", b"h", traits=Traits(scales=REF))
    for one in (
        leave_scaled([web, other, in_git], {}, given_body)[0],
        leave_scaled([web, other], {REF: HPA}, given_body)[0],
    ):
        assert orjson.loads(given_body(one)) == {"spec": {"paused": True}}
        assert one.digest != web.digest
        assert one.traits is not None
        assert one.traits.full == body
        assert one.traits.scaler == str(HPA)
    assert leave_scaled([web, other], {REF: HPA}, given_body)[1] is other
    assert leave_scaled([web, other], {}, given_body) == (web, other)
