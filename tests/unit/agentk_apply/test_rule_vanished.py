from __future__ import annotations

import pytest

from agentk.apply.model import Kind, Live, ProjectSettings, Recorded
from agentk.apply.rules.own import NOTHING_OWN
from agentk.apply.rules.prune import decide
from agentk.apply.rules.vanished import gone_definitions, went_along
from agentlink.refs import ObjectRef

RESOURCE = ObjectRef("x.io", "Policy", "web", "a")


def definition(name: str) -> ObjectRef:
    return ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", name)


def live(ref: ObjectRef) -> Live:
    return Live(ref, "uid", "1", "print", "7-1", labelled=True)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Gate", "gates.x.io"), ("Policy", "policies.x.io"), ("Mesh", "meshes.x.io"), ("Metrics", "metrics.x.io")],
)
def test_a_resource_went_with_its_definition(kind: str, name: str) -> None:
    assert went_along(ObjectRef("x.io", kind, "web", "a"), frozenset({name}))


@pytest.mark.parametrize(
    ("plural", "name", "gone"),
    [
        ("policyset", "policyset.x.io", True),
        ("policyset", "policies.x.io", False),
        ("", "policyset.x.io", False),
    ],
)
def test_a_plural_against_the_rules_is_recognised_where_it_was_seen(plural: str, name: str, gone: bool) -> None:  # noqa: FBT001 - a case
    assert went_along(RESOURCE, frozenset({name}), plural) is gone


@pytest.mark.parametrize("name", ["policies.y.io", "gates.x.io", "policies.sub.x.io"])
def test_it_stays_when_that_of_another_kind_or_group_went(name: str) -> None:
    assert not went_along(RESOURCE, frozenset({name}))


def test_only_a_definition_that_left_git_and_is_gone_counts() -> None:
    gone, there = definition("policies.x.io"), definition("gates.x.io")
    other = ObjectRef("", "ConfigMap", "web", "policies.x.io")
    assert gone_definitions([gone, there, other], {there: live(there)}) == {"policies.x.io"}


class NotServed:
    """A cluster that serves definitions, and no resource of one."""

    def find(self, group: str, kind: str, version: str) -> Kind | None:
        served = kind == "CustomResourceDefinition"
        return Kind(group, version or "v1", kind, f"{kind.lower()}s", namespaced=False) if served else None

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - the lookup's shape
        return frozenset()


@pytest.mark.parametrize("there", ["", "policies.x.io"])
def test_after_a_crash_between_the_end_of_a_definition_and_the_inventory_the_resource_is_forgotten_too(
    there: str,
) -> None:
    defined = definition("policies.x.io")
    decided = decide(
        [Recorded(RESOURCE, uid="uid"), Recorded(defined, uid="uid")],
        {definition(there): live(definition(there))} if there else {},
        ProjectSettings(1, "p", "7-1"),
        kinds=NotServed(),
        owned=10,
        hold=None,
        own=NOTHING_OWN,
        confirmed=True,
    )
    assert (RESOURCE in decided.forget) is not bool(there)
