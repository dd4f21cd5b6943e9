from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import urllib3

from agentk.apply.model import Kind, Propagation
from agentk.kube.client import KubeClient
from agentk.kube.errors import KubeError, NotOwnedError, UidConflictError
from agentk.kube.objects import Objects
from agentk.kube.retry import RetryPolicy
from agentlink.refs import ObjectRef
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controlplane.server import ControlPlane
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

OWNER = "7-9"
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
SECRET = Kind("", "v1", "Secret", "secrets", namespaced=True)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", namespaced=True)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)


def config_map(namespace: str, name: str, **data: str) -> tuple[ObjectRef, bytes]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"agentk.io/agent": "7"},
        "annotations": {"config.k8s.io/owning-inventory": "7-9"},
    }
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return ObjectRef("", "ConfigMap", namespace, name), orjson.dumps(body)


def secret(namespace: str, name: str, **more: object) -> tuple[ObjectRef, bytes]:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, **more}
    return ObjectRef("", "Secret", namespace, name), orjson.dumps(body)


def deployment(namespace: str, name: str) -> tuple[ObjectRef, bytes]:
    labels = {"app": name}
    container = {"name": "web", "image": "nginx:1", "env": [{"name": "A", "value": "1"}]}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    return ObjectRef("apps", "Deployment", namespace, name), orjson.dumps(body)


async def test_an_apply_says_whether_it_created_changed_or_left_alone(objects: Objects, namespace: str) -> None:
    ref, body = config_map(namespace, "applied", a="1")
    first = await objects.apply(CONFIG_MAP, ref, body, force=True)
    again = await objects.apply(CONFIG_MAP, ref, body, force=True)
    changed = await objects.apply(CONFIG_MAP, ref, config_map(namespace, "applied", a="2")[1], force=True)
    assert (first.created, again.created, changed.created) == (True, False, False)
    assert again.live == first.live
    assert changed.live.resource_version != first.live.resource_version
    assert changed.live.fingerprint == first.live.fingerprint
    assert first.live.ref == ref
    assert first.live.owner == "7-9"
    assert first.live.labelled
    assert await objects.get(CONFIG_MAP, ref) == changed.live


async def test_a_dry_run_leaves_nothing_behind(objects: Objects, namespace: str) -> None:
    ref, body = config_map(namespace, "tried", a="1")
    tried = await objects.apply(CONFIG_MAP, ref, body, force=True, dry_run=True)
    assert tried.created
    assert await objects.get(CONFIG_MAP, ref) is None
    real = await objects.apply(CONFIG_MAP, ref, body, force=True)
    assert await objects.delete(
        CONFIG_MAP, ref, uid=real.live.uid, owner=OWNER, propagation=Propagation.BACKGROUND, dry_run=True
    )
    assert await objects.get(CONFIG_MAP, ref) == real.live


async def test_the_fingerprint_tells_drift_from_other_people_s_additions(
    objects: Objects, kube: Kube, namespace: str
) -> None:
    ref, body = deployment(namespace, "drifting")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/drifting"
    ours = (await objects.apply(DEPLOYMENT, ref, body, force=True)).live.fingerprint
    assert ours is not None

    async def fingerprint() -> str | None:
        live = await objects.get(DEPLOYMENT, ref)
        assert live is not None
        return live.fingerprint

    kube.patch(path, {"metadata": {"annotations": {"somebody": "else"}}})
    assert await fingerprint() == ours
    container: dict[str, Any] = {"name": "web", "image": "nginx:2", "env": [{"name": "A", "value": "1"}]}
    for drift in (
        lambda: kube.scale(path, 3),
        lambda: kube.patch(path, {"spec": {"template": {"spec": {"containers": [container]}}}}),
        lambda: kube.patch(
            path, {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}}}
        ),
    ):
        drift()
        assert await fingerprint() != ours
        restored = await objects.apply(DEPLOYMENT, ref, body, force=True)
        assert restored.live.fingerprint == ours
    document = await objects.read(DEPLOYMENT, ref)
    assert document is not None
    assert kube.get(path)["spec"]["replicas"] == 1
    assert document["kind"] == "Deployment"


async def test_a_conflict_names_managers_and_fields_and_force_takes_over(
    objects: Objects, kube: Kube, namespace: str
) -> None:
    ref, body = config_map(namespace, "claimed", a="ours", b="ours")
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "claimed", "namespace": namespace},
        "data": {"a": "theirs", "b": "theirs"},
    }
    kube.apply(f"/api/v1/namespaces/{namespace}/configmaps/claimed", theirs, manager="somebody")
    with pytest.raises(KubeError) as caught:
        await objects.apply(CONFIG_MAP, ref, body, force=False)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert caught.value.conflicts == (("somebody", ".data.a"), ("somebody", ".data.b"))
    assert not caught.value.retryable
    taken = await objects.apply(CONFIG_MAP, ref, body, force=True)
    assert not taken.created
    assert taken.live.appliers <= {"somebody"}


async def test_an_object_that_does_not_fit_is_refused_at_once_with_the_field(objects: Objects, namespace: str) -> None:
    ref, body = deployment(namespace, "misspelt")
    with pytest.raises(KubeError, match=r"\.spec\.replica: field not declared") as caught:
        await objects.apply(DEPLOYMENT, ref, body.replace(b'"replicas"', b'"replica"'), force=True)
    assert caught.value.reason == "Invalid"
    ref, body = config_map(namespace, "Not_A_Name")
    with pytest.raises(KubeError) as caught:
        await objects.apply(CONFIG_MAP, ref, body, force=True)
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert caught.value.causes[0].field == "metadata.name"


async def test_a_namespace_that_does_not_exist_is_named(objects: Objects) -> None:
    ref, body = config_map("no-such-namespace", "lost")
    with pytest.raises(KubeError, match='namespaces "no-such-namespace" not found'):
        await objects.apply(CONFIG_MAP, ref, body, force=True)


VALUE = "hunter2 is my password"


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"password": VALUE}},
        {"stringData": {"password": {VALUE: 1}}},
        {"stringData": {"password": [VALUE]}},
        {"stringData": VALUE},
        {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": VALUE}},
        {"type": "kubernetes.io/tls", "stringData": {"other": VALUE}},
        {"immutable": VALUE},
    ],
)
async def test_no_error_about_a_secret_shows_its_value(
    objects: Objects, namespace: str, fields: dict[str, object]
) -> None:
    ref, body = secret(namespace, "s", **fields)
    with pytest.raises(KubeError) as caught:
        await objects.apply(SECRET, ref, body, force=True)
    error = caught.value
    assert "hunter2" not in f"{error} {error!r} {error.causes} {error.__cause__} {error.__context__}"
    assert error.status >= 400
    assert not error.retryable


async def test_a_conflict_about_a_secret_still_names_manager_and_key(
    objects: Objects, kube: Kube, namespace: str
) -> None:
    ref, body = secret(namespace, "shared", stringData={"password": VALUE})
    theirs = orjson.loads(secret(namespace, "shared", stringData={"password": "other"})[1])
    kube.apply(f"/api/v1/namespaces/{namespace}/secrets/shared", theirs, manager="somebody")
    with pytest.raises(KubeError) as caught:
        await objects.apply(SECRET, ref, body, force=False)
    assert caught.value.conflicts == (("somebody", ".stringData.password"),)
    assert 'conflict with "somebody"' in caught.value.message


async def test_a_delete_removes_only_the_object_that_was_meant(objects: Objects, namespace: str) -> None:
    ref, body = config_map(namespace, "doomed")
    live = (await objects.apply(CONFIG_MAP, ref, body, force=True)).live
    with pytest.raises(UidConflictError, match="recreated by somebody"):
        await objects.delete(CONFIG_MAP, ref, uid="not-this-one", owner=OWNER, propagation=Propagation.BACKGROUND)
    assert await objects.get(CONFIG_MAP, ref) == live
    assert await objects.delete(CONFIG_MAP, ref, uid=live.uid, owner=OWNER, propagation=Propagation.BACKGROUND)
    assert await objects.get(CONFIG_MAP, ref) is None
    assert await objects.delete(CONFIG_MAP, ref, uid=live.uid, owner=OWNER, propagation=Propagation.BACKGROUND)


async def test_nothing_is_deleted_or_let_go_that_is_not_annotated_as_ours_at_that_moment(
    objects: Objects, kube: Kube, namespace: str
) -> None:
    ref, body = config_map(namespace, "contested")
    path = f"/api/v1/namespaces/{namespace}/configmaps/contested"
    seen = (await objects.apply(CONFIG_MAP, ref, body, force=True)).live
    for owner in (None, "9-9"):
        kube.patch(path, {"metadata": {"annotations": {"config.k8s.io/owning-inventory": owner}}})
        stored = kube.get(path)
        for version in ("", seen.resource_version):
            with pytest.raises(NotOwnedError, match="was not touched"):
                await objects.delete(
                    CONFIG_MAP,
                    ref,
                    uid=seen.uid,
                    owner=OWNER,
                    version=version,
                    propagation=Propagation.BACKGROUND,
                )
        with pytest.raises(NotOwnedError, match="was not touched"):
            await objects.release(CONFIG_MAP, ref, uid=seen.uid, owner=OWNER)
        assert kube.get(path) == stored
    # Changed since it was seen, and ours all the same: it is looked at anew.
    kube.patch(path, {"metadata": {"annotations": {"config.k8s.io/owning-inventory": OWNER}}})
    assert await objects.delete(
        CONFIG_MAP,
        ref,
        uid=seen.uid,
        owner=OWNER,
        version=seen.resource_version,
        propagation=Propagation.BACKGROUND,
    )
    assert kube.find(path) is None


async def test_a_foreground_delete_waits_for_dependants_and_may_be_asked_twice(
    objects: Objects, kube: Kube, namespace: str
) -> None:
    ref, body = config_map(namespace, "held")
    live = (await objects.apply(CONFIG_MAP, ref, body, force=True)).live
    path = f"/api/v1/namespaces/{namespace}/configmaps/held"
    kube.patch(path, {"metadata": {"finalizers": ["example.com/hold"]}})
    for _ in range(2):
        assert not await objects.delete(CONFIG_MAP, ref, uid=live.uid, owner=OWNER, propagation=Propagation.FOREGROUND)
    assert "example.com/hold" in await objects.finalizers(CONFIG_MAP, ref)
    held = await objects.get(CONFIG_MAP, ref)
    assert held is not None
    assert held.deleting
    kube.patch(path, {"metadata": {"finalizers": None}})
    await eventually(lambda: objects_gone(kube, path), what="the object is gone once nothing holds it")


def objects_gone(kube: Kube, path: str) -> bool:
    return kube.find(path) is None


async def test_a_namespace_on_its_way_out_is_deleted_already(objects: Objects, kube: Kube, namespace: str) -> None:
    name = f"{namespace}-leaving"
    ref = ObjectRef("", "Namespace", "", name)
    metadata = {"name": name, "annotations": {"config.k8s.io/owning-inventory": OWNER}}
    body = orjson.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    live = (await objects.apply(NAMESPACE, ref, body, force=True)).live
    inside, content = config_map(name, "held")
    await objects.apply(CONFIG_MAP, inside, content, force=True)
    path = f"/api/v1/namespaces/{name}/configmaps/held"
    kube.patch(path, {"metadata": {"finalizers": ["example.com/hold"]}})
    for _ in range(2):
        assert not await objects.delete(NAMESPACE, ref, uid=live.uid, owner=OWNER, propagation=Propagation.BACKGROUND)
    kube.patch(path, {"metadata": {"finalizers": None}})


async def test_an_object_that_is_released_belongs_to_nobody_and_keeps_its_content(
    objects: Objects, kube: Kube, namespace: str
) -> None:
    ref, body = config_map(namespace, "released", a="1")
    live = (await objects.apply(CONFIG_MAP, ref, body, force=True)).live
    with pytest.raises(UidConflictError, match="recreated by somebody"):
        await objects.release(CONFIG_MAP, ref, uid="not-this-one", owner=OWNER)
    await objects.release(CONFIG_MAP, ref, uid=live.uid, owner=OWNER, dry_run=True)
    assert await objects.get(CONFIG_MAP, ref) == live
    await objects.release(CONFIG_MAP, ref, uid=live.uid, owner=OWNER)
    path = f"/api/v1/namespaces/{namespace}/configmaps/released"
    stored = kube.get(path)
    assert not {"labels", "annotations", "managedFields"} & stored["metadata"].keys()
    assert stored["data"] == {"a": "1"}
    kube.apply(path, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}, manager="flux")
    await objects.release(CONFIG_MAP, ref._replace(name="never-was"), uid=live.uid, owner=OWNER)


async def fill(objects: Objects, namespace: str, count: int) -> list[ObjectRef]:
    pairs = [config_map(namespace, f"many-{number:04}", n=str(number)) for number in range(count)]
    queue = iter(pairs)

    async def apply() -> None:
        for ref, body in queue:
            await objects.apply(CONFIG_MAP, ref, body, force=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(apply())
    return [ref for ref, _ in pairs]


async def test_lists_come_in_pages_and_lookups_find_what_exists(objects: Objects, namespace: str) -> None:
    refs = await fill(objects, namespace, 620)
    missing = ObjectRef("", "ConfigMap", namespace, "not-there")

    pages = [page async for page in objects.list(CONFIG_MAP, namespace=namespace, selector="agentk.io/agent=7")]
    assert [page.first for page in pages] == [True, False]
    assert len(pages[0].items) == 500
    assert pages[1].remaining == 0
    assert len({page.resource_version for page in pages}) == 1
    assert {live.ref for page in pages for live in page.items} >= set(refs)
    nothing = [page async for page in objects.list(CONFIG_MAP, namespace=namespace, selector="agentk.io/agent=8")]
    assert [(page.items, page.first, page.remaining) for page in nothing] == [((), True, 0)]

    for wanted in (refs[:3], refs[:100], refs[550:600], refs):
        found = await objects.lookup(CONFIG_MAP, [*wanted, missing])
        assert found.keys() == set(wanted)
    assert await objects.lookup(CONFIG_MAP, []) == {}
    unserved = Kind("no.such.group", "v1", "Thing", "things", namespaced=True)
    for count in (1, 20):
        things = [ObjectRef("no.such.group", "Thing", namespace, f"t-{number}") for number in range(count)]
        assert await objects.lookup(unserved, things) == {}


async def test_who_may_get_but_not_list_can_look_up(
    objects: Objects,
    kube: Kube,
    kubeconfig_of: Callable[[dict[str, object]], str],
    account_token: str,
    namespace: str,
) -> None:
    refs = await fill(objects, namespace, 12)
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    kube.create(f"{rbac}/roles", {"metadata": {"name": "getter"}, "rules": [rule]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "getter"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    kube.create(f"{rbac}/rolebindings", {"metadata": {"name": "getter"}, "roleRef": role, "subjects": [subject]})
    async with await KubeClient.connect(kubeconfig=kubeconfig_of({"token": account_token})) as client:
        weak = Objects(client)

        async def allowed() -> bool:
            try:
                return await weak.get(CONFIG_MAP, refs[0]) is not None
            except KubeError as error:
                if error.status != 403:
                    raise
                return False

        await eventually(allowed, what="the role is in force")
        assert (await weak.lookup(CONFIG_MAP, refs)).keys() == set(refs)
        with pytest.raises(KubeError, match="cannot get resource"):
            await weak.lookup(SECRET, [ObjectRef("", "Secret", namespace, f"s-{n}") for n in range(20)])


async def test_a_request_is_repeated_while_the_server_is_away(objects: Objects, client: KubeClient) -> None:
    attempts = 0

    class Counting(KubeClient):
        async def send(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - passes on whatever it is given
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                raise KubeError(503, "ServiceUnavailable", "not yet")
            return await client.send(*args, **named)

    counting = Counting.__new__(Counting)
    patient = Objects(counting, retries=RetryPolicy(first=0.01))
    ref = ObjectRef("", "Namespace", "", "default")
    assert await patient.get(NAMESPACE, ref) == await objects.get(NAMESPACE, ref)
    assert attempts == 3

    attempts = -10
    with pytest.raises(KubeError, match="not yet"):
        await patient.get(NAMESPACE, ref)
    assert attempts == -5


async def test_a_list_starts_over_when_the_server_forgot_where_it_began(own_control_plane: ControlPlane) -> None:
    plane = own_control_plane
    async with await KubeClient.connect(kubeconfig=str(plane.kubeconfig)) as client:
        own = Objects(client)
        await fill(own, "default", 12)
        pages = []
        async for page in own.list(CONFIG_MAP, namespace="default", selector="agentk.io/agent=7", size=5):
            pages.append(page)
            if len(pages) == 1:
                ref, body = config_map("default", "late")
                late = (await own.apply(CONFIG_MAP, ref, body, force=True)).live
                plane.stop_api_server()
                compact(plane._etcd_urls[0], late.resource_version)
                await asyncio.to_thread(plane.start_api_server)
    assert [page.first for page in pages] == [True, True, False, False]
    names = [live.ref.name for page in pages[1:] for live in page.items]
    assert names == ["late", *(f"many-{number:04}" for number in range(12))]


def compact(etcd: str, revision: str) -> None:
    """Make etcd forget what was before, as the API server does every five minutes."""
    body = orjson.dumps({"revision": revision, "physical": True})
    answer = urllib3.request("POST", f"{etcd}/v3/kv/compaction", body=body, timeout=10.0, retries=False)
    assert answer.status == 200
