"""A project reaches its own objects, and no Secret's value leaves Secrets."""

from __future__ import annotations

from typing import Any

import pytest

from agentk.apply.bounds import Bounds
from agentk.apply.kinds import served_as
from agentk.apply.model import Kind, Mutation, Ordering
from agentk.apply.rules.own import OwnObjects
from agentk.apply.rules.reach import is_tainted, refuse_reach, refuse_source, refuse_target
from agentlink.refs import ObjectRef

OWN = ObjectRef("", "ConfigMap", "team", "own")
NEAR = ObjectRef("", "ConfigMap", "team", "near")
FAR = ObjectRef("", "ConfigMap", "vault", "far")
WIDE = ObjectRef("rbac.authorization.k8s.io", "ClusterRole", "", "admin")
SECRET = ObjectRef("", "Secret", "team", "keys")
INTO = ObjectRef("", "Secret", "team", "into")
INVENTORY = ObjectRef("", "ConfigMap", "team", "inventory-7-12")
TOKEN = ObjectRef("", "Secret", "agents", "token")
OTHER = ObjectRef("", "Secret", "agents", "other")

AGENTK = OwnObjects(refs=frozenset({TOKEN, ObjectRef("", "Namespace", "", "agents")}))
EVERYWHERE = Bounds("7-9", own=AGENTK)
CONFINED = Bounds("7-9", ("team", "agents"), AGENTK)


def taking(source: ObjectRef, target: str = "$.data.x") -> Ordering:
    return Ordering((source,), mutations=(Mutation(source, "$.data.a", target),))


@pytest.mark.parametrize(
    ("source", "bounds", "among", "reason"),
    [
        (NEAR, EVERYWHERE, {NEAR}, ""),
        (NEAR, EVERYWHERE, set(), "SourceRefused"),
        (FAR, EVERYWHERE, set(), "SourceRefused"),
        (WIDE, EVERYWHERE, set(), "SourceRefused"),
        (NEAR, CONFINED, set(), ""),
        (FAR, CONFINED, set(), "OutsideAllowedNamespaces"),
        (WIDE, CONFINED, set(), "OutsideAllowedNamespaces"),
        (INVENTORY, CONFINED, set(), "SourceRefused"),
        (INVENTORY, EVERYWHERE, {INVENTORY}, "SourceRefused"),
    ],
)
def test_a_source_is_of_the_revision_or_in_an_allowed_namespace(
    source: ObjectRef, bounds: Bounds, among: set[ObjectRef], reason: str
) -> None:
    refusal = refuse_reach(OWN, taking(source), among, bounds)
    assert (refusal.reason if refusal else "") == reason


@pytest.mark.parametrize("source", [TOKEN, OTHER])
def test_a_secret_of_agentk_is_no_source_even_where_its_namespace_is_allowed(source: ObjectRef) -> None:
    refusal = refuse_reach(INTO, taking(source), set(), CONFINED)
    assert refusal is not None
    assert refusal.reason == "SourceRefused"
    assert refuse_reach(INTO, taking(OTHER), {OTHER}, CONFINED) is None
    assert refuse_reach(INTO, taking(TOKEN), {TOKEN}, CONFINED) is not None


@pytest.mark.parametrize(
    ("ref", "target", "refused"),
    [
        (INTO, "$.data.x", False),
        (INTO, "$.stringData['x']", False),
        (INTO, "$['data']", False),
        (INTO, "$.metadata.labels.x", True),
        (INTO, "$.type", True),
        (OWN, "$.data.x", True),
        (ObjectRef("example.com", "Secret", "team", "x"), "$.data.x", True),
    ],
)
def test_what_is_in_a_secret_goes_into_secrets_alone(ref: ObjectRef, target: str, refused: bool) -> None:  # noqa: FBT001 - a case
    assert (refuse_reach(ref, taking(SECRET, target), {SECRET}, EVERYWHERE) is not None) is refused
    assert refuse_reach(ref, taking(SECRET, target), {SECRET}, Bounds("7-9", secrets_anywhere=True)) is None
    # What was filled from a Secret counts as one.
    plain = Mutation(NEAR, "$.data.a", target)
    assert refuse_target(ref, plain, EVERYWHERE) is None
    assert (refuse_target(ref, plain, EVERYWHERE, from_secret=True) is not None) is refused


@pytest.mark.parametrize(("needed", "refused"), [(NEAR, False), (FAR, True), (WIDE, True)])
def test_a_confined_project_depends_on_what_is_in_its_namespaces(needed: ObjectRef, refused: bool) -> None:  # noqa: FBT001 - a case
    assert (refuse_reach(OWN, Ordering((needed,)), set(), CONFINED) is not None) is refused
    assert refuse_reach(OWN, Ordering((needed,)), set(), EVERYWHERE) is None


def document(owner: str = "", **metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    annotations = {"config.k8s.io/owning-inventory": owner} if owner else {}
    return {"metadata": {"name": "x", "annotations": annotations, **metadata}}


def test_what_was_read_is_taken_if_it_is_the_projects_or_in_its_namespaces() -> None:
    assert refuse_source(FAR, document("7-9"), EVERYWHERE) is None
    refused = [refuse_source(FAR, one, EVERYWHERE) for one in (document("7-8"), document(), {}, {"metadata": None})]
    assert None not in refused
    assert len(set(refused)) == 1, "one that is not there and one that is another's read the same"
    assert refuse_source(NEAR, document("7-8"), CONFINED) is None
    assert refuse_source(NEAR, {}, CONFINED) is not None
    inventory = document("7-9", labels={"cli-utils.sigs.k8s.io/inventory-id": "8-8"})
    assert refuse_source(NEAR, inventory, CONFINED) is not None


def test_a_source_is_tainted_by_what_it_is_or_was_filled_from() -> None:
    filled = '[{"sourceRef":{"kind":"Secret","name":"s"},"sourcePath":"$.data.a","targetPath":"$.data.b"}]'
    assert is_tainted(SECRET, document())
    assert not is_tainted(NEAR, document())
    assert is_tainted(NEAR, {"metadata": {"annotations": {"agentk.io/from-secrets": ""}}})
    assert is_tainted(NEAR, {"metadata": {"annotations": {"config.kubernetes.io/apply-time-mutation": filled}}})
    assert is_tainted(NEAR, {"metadata": {"annotations": {"config.kubernetes.io/apply-time-mutation": "?"}}})


class _Kinds:
    def find(self, group: str, kind: str, version: str) -> Kind | None:
        del version
        return Kind(group, "v1", kind, kind.lower(), namespaced=kind != "ClusterRole") if kind != "None" else None

    def verbs(self, kind: Kind) -> frozenset[str]:
        del kind
        return frozenset()


def test_a_name_with_a_namespace_means_nothing_of_the_whole_cluster() -> None:
    assert served_as(_Kinds(), NEAR) is not None
    assert served_as(_Kinds(), WIDE) is not None
    assert served_as(_Kinds(), WIDE._replace(namespace="team")) is None
    assert served_as(_Kinds(), NEAR._replace(namespace="")) is None
    assert served_as(_Kinds(), NEAR._replace(kind="None")) is None
