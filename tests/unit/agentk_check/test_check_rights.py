"""What agentk needs, and how what it lacks is told."""

from __future__ import annotations

from agentk.apply.model import Kind
from agentk.check.rights import Right, applicable, choose, judge, judge_inventories
from agentlink.findings import Level

CONFIG_MAPS = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
DEPLOYMENTS = Kind("apps", "v1", "Deployment", "deployments", namespaced=True)
REVIEWS = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False)
EVERY = {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}


def test_only_kinds_that_a_manifest_can_hold_are_asked_for() -> None:
    found = applicable({CONFIG_MAPS: EVERY, REVIEWS: {"create"}, DEPLOYMENTS: EVERY - {"watch"}})

    assert found == {
        CONFIG_MAPS: {"get", "list", "watch", "create", "patch", "delete"},
        DEPLOYMENTS: {"get", "list", "create", "patch", "delete"},
    }


def test_kinds_are_named_as_kubectl_names_them() -> None:
    for name in ("deployments.apps", "Deployment.apps", "DEPLOYMENT.apps"):
        assert choose([name], [CONFIG_MAPS, DEPLOYMENTS]) == ([DEPLOYMENTS], [])
    assert choose(["configmaps", "ConfigMap"], [CONFIG_MAPS, DEPLOYMENTS]) == ([CONFIG_MAPS], [])


def test_a_name_of_no_kind_fails_with_the_likely_one() -> None:
    chosen, findings = choose(["deployments", "configmap.v1", "nothing.example.com"], [CONFIG_MAPS, DEPLOYMENTS])

    assert chosen == []
    assert [finding.level for finding in findings] == [Level.FAILED] * 3
    assert "deployments.apps" in findings[0].remedy
    assert "configmap" in findings[1].remedy
    assert "CRD" in findings[2].remedy


def test_kinds_that_lack_the_same_verbs_in_the_same_place_are_one_finding() -> None:
    asked = [Right(place, kind, verb) for place in ("a", "b") for kind in ("x", "y", "z") for verb in ("get", "patch")]
    missing = [Right("a", "x", "patch"), Right("a", "y", "patch"), Right("b", "z", "get"), Right("b", "z", "patch")]

    told = [(finding.level, finding.message) for finding in judge(asked, missing, account="", narrowed=True)]

    assert told == [
        (Level.FAILED, "may not patch in namespace a: x, y"),
        (Level.FAILED, "may not get and patch in namespace b: z"),
        (Level.OK, "may do everything agentk needs in namespace a with z"),
        (Level.OK, "may do everything agentk needs in namespace b with x, y"),
    ]


def test_who_named_nothing_is_told_how_to_narrow_and_whom_to_grant() -> None:
    asked = [Right("", "x", "get")]

    assert "--namespace" in judge(asked, asked, account="system:serviceaccount:a:b", narrowed=False)[0].remedy
    assert (
        "system:serviceaccount:a:b" in judge(asked, asked, account="system:serviceaccount:a:b", narrowed=True)[0].remedy
    )


def test_a_place_without_a_right_on_config_maps_keeps_no_inventory() -> None:
    asked = [Right(place, "configmaps", "get") for place in ("a", "b")]

    findings = judge_inventories(asked, [Right("b", "configmaps", "get")])

    assert [finding.level for finding in findings] == [Level.FAILED]
    assert "namespace b" in findings[0].message
    assert [finding.level for finding in judge_inventories(asked, [])] == [Level.OK, Level.OK]
