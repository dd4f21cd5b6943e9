"""What is sent for an object is made of its file each time anew, and is each time what its digest is of."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agentk.apply.model import IgnoreRule, Kind, ProjectSettings, Snapshot, given_body
from agentk.apply.resolve import Resolved, resolve

if TYPE_CHECKING:
    from agentk.apply.model import Desired

SERVED = {
    kind.kind: kind
    for kind in (
        Kind("", "v1", "ConfigMap", "configmaps", namespaced=True),
        Kind("", "v1", "Namespace", "namespaces", namespaced=False),
        Kind("apps", "v1", "Deployment", "deployments", namespaced=True),
    )
}
SETTINGS = ProjectSettings(1, "group/project", "7-1", default_namespace="web")


class Served:
    def find(self, group: str, kind: str, version: str) -> Kind | None:  # noqa: ARG002 - the lookup's shape
        return SERVED.get(kind)

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - the lookup's shape
        return frozenset()


def text(api_version: str, kind: str, name: str, *, spec: object = None, **metadata: object) -> bytes:
    manifest: dict[str, Any] = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}}
    return orjson.dumps(manifest | ({"spec": spec} if spec else {}))


PLAIN = text("v1", "ConfigMap", "plain")
EXPORTED = text("v1", "ConfigMap", "exported", uid="u", managedFields=[{}], namespace="other", labels={"app": "x"})
NAMESPACE = text("v1", "Namespace", "web", namespace="oops", annotations={})
SCALED = text("apps/v1", "Deployment", "scaled", spec={"replicas": 3, "paused": True})
ASKING = text("apps/v1", "Deployment", "asks", spec={"replicas": 3}, annotations={"agentk.io/ignore-fields": "/spec/x"})


def resolved(
    *files: tuple[bytes, ...], before: Resolved | None = None, ignore: tuple[IgnoreRule, ...] = ()
) -> Resolved:
    snapshot = Snapshot(1, "c0ffee", "sync", b"", {f"{number}.yaml": texts for number, texts in enumerate(files)})
    return resolve(snapshot, replace(SETTINGS, ignore=ignore), Served(), 7, before)


def is_of(body: bytes, desired: Desired) -> bool:
    return blake2b(body, digest_size=8).digest() == desired.digest


@pytest.mark.parametrize("ignore", [(), (IgnoreRule(("/spec/replicas",), kind="Deployment"),)], ids=["all", "some"])
def test_every_body_is_the_one_that_the_digest_is_of(ignore: tuple[IgnoreRule, ...]) -> None:
    found = resolved((PLAIN, EXPORTED), (), (NAMESPACE,), (SCALED, ASKING), ignore=ignore)
    assert [one.ref.name for one in found.desired] == ["plain", "exported", "web", "scaled", "asks"]
    for one in found.desired:
        assert one.body is None
        body = found.body_of(one)
        assert is_of(body, one), one.ref
        assert orjson.loads(body)["metadata"]["name"] == one.ref.name
        assert (b"replicas" in body) is (one.ref.kind == "Deployment" and not ignore)


def test_what_was_taken_over_from_the_revision_before_is_made_of_this_one() -> None:
    first = resolved((PLAIN,), (NAMESPACE,))
    second = resolved((EXPORTED,), (NAMESPACE,), before=first)
    assert second.desired[1] is first.desired[1]
    assert is_of(second.body_of(second.desired[1]), second.desired[1])


def test_a_body_that_an_object_carries_goes_before_its_file() -> None:
    found = resolved((PLAIN,))
    assert found.body_of(replace(found.desired[0], body=b"{}")) == b"{}"
    with pytest.raises(ValueError, match="configmap/plain"):
        given_body(found.desired[0])
