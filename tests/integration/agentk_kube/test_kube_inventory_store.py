from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agentk.apply.identity import Identity
from agentk.apply.inventory import InventoryError
from agentk.apply.model import Recorded
from agentk.kube.client import KubeClient
from agentk.kube.errors import InventoryConflictError, KubeError
from agentk.kube.inventory_key import InventoryKey
from agentk.kube.inventory_maps import StoredMap
from agentk.kube.inventory_store import InventoryStore
from agentlink.refs import ObjectRef
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

LABEL = "cli-utils.sigs.k8s.io/inventory-id"


class Recording(KubeClient):
    """The real client, which also remembers what was sent."""

    sent: list[tuple[str, str, bytes]]

    async def send(self, method: str, path: str, *, body: bytes | None = None, **named: Any) -> Any:  # noqa: ANN401 - passes on
        self.sent.append((method, path, body or b""))
        return await super().send(method, path, body=body, **named)


@pytest.fixture
async def recording(control_plane: Cluster) -> AsyncIterator[Recording]:
    client = await Recording.connect(kubeconfig=str(control_plane.kubeconfig))
    assert isinstance(client, Recording)
    client.sent = []
    async with client:
        yield client


@pytest.fixture
def inventory_id() -> str:
    return f"7-{secrets.token_hex(4)}"


def store_of(client: KubeClient, inventory_id: str, namespace: str) -> InventoryStore:
    return InventoryStore(client, inventory_id, namespace=namespace, key=InventoryKey(client, namespace))


def record(number: int, digest: str = "0123456789abcdef") -> Recorded:
    ref = ObjectRef("", "ConfigMap", "shop", f"object-{number:05}")
    return Recorded(ref, digest, "fedcba9876543210", "8a5f8f4e-1111-2222-3333-444455556666")


def writes(client: Recording) -> list[tuple[str, bytes]]:
    return [(method, body) for method, _, body in client.sent if method != "GET"]


async def records_of(client: KubeClient, inventory_id: str, namespace: str) -> Mapping[ObjectRef, Recorded]:
    """Return what a process that starts now reads."""
    found = await store_of(client, inventory_id, namespace).read()
    assert found is not None
    assert found.damage is None
    return found.records


async def test_what_is_written_is_read_by_the_next_process(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    store = store_of(client, inventory_id, namespace)
    assert await store.read() is None
    assert store.head == StoredMap(ObjectRef("", "ConfigMap", namespace, f"inventory-{inventory_id}"), "", "")
    await store.write([record(1), record(2)])
    assert await records_of(client, inventory_id, namespace) == {record(n).ref: record(n) for n in (1, 2)}
    live = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}")
    assert live["metadata"]["labels"] == {LABEL: inventory_id}
    assert (store.head.uid, store.head.version) == (live["metadata"]["uid"], live["metadata"]["resourceVersion"])


async def test_only_what_changed_is_sent(recording: Recording, kube: Kube, namespace: str, inventory_id: str) -> None:
    store = store_of(recording, inventory_id, namespace)
    records = {record(number).ref: record(number) for number in range(1000)}
    await store.write(records.values())
    await store.write([])
    assert [method for method, _ in writes(recording)] == ["POST"]

    changed = [record(7, "aaaaaaaaaaaaaaaa"), record(1000)]
    del records[record(5).ref]
    records |= {one.ref: one for one in changed}
    await store.write(changed, [record(5).ref])
    method, body = writes(recording)[-1]
    assert method == "PATCH"
    assert len(body) < 1000
    assert len(orjson.loads(body)["data"]) == 3
    assert await records_of(recording, inventory_id, namespace) == records
    stored = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}")
    assert "managedFields" not in stored["metadata"], "which would repeat every key"

    await store.write([], list(records))
    assert await records_of(recording, inventory_id, namespace) == {}


async def test_an_inventory_of_gitlab_s_agent_is_taken_over_where_it_is(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    kube.create(
        f"/api/v1/namespaces/{namespace}/configmaps",
        {
            "metadata": {"name": f"inventory-{inventory_id}", "labels": {LABEL: inventory_id}},
            "data": {"shop_web_apps_Deployment": "", "_shop__Namespace": ""},
        },
    )
    store = store_of(client, inventory_id, namespace)
    found = await store.read()
    assert found is not None
    refs = {ObjectRef("apps", "Deployment", "shop", "web"), ObjectRef("", "Namespace", "", "shop")}
    assert found.records == {ref: Recorded(ref) for ref in refs}
    assert store.strays == ""
    await store.write([record(1)])
    assert (await records_of(client, inventory_id, namespace)).keys() == {*refs, record(1).ref}
    assert store.head.ref == ObjectRef("", "ConfigMap", namespace, f"inventory-{inventory_id}")


async def test_what_is_labelled_as_the_inventory_and_is_not_in_its_place_has_no_effect_and_is_named(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    names = ["a", "b", "c", "d", "e", "f", "g"]
    for name in names:
        body: dict[str, object] = {"metadata": {"name": f"{name}-{inventory_id}", "labels": {LABEL: inventory_id}}}
        kube.create(f"/api/v1/namespaces/{namespace}/configmaps", body)
    labels = {LABEL: f"{inventory_id}.shard", "agentk.io/inventory-shard": "9" * 50}
    far = {"metadata": {"name": f"inventory-{inventory_id}.{'9' * 50}", "labels": labels}, "data": {"nonsense": ""}}
    kube.create(f"/api/v1/namespaces/{namespace}/configmaps", far)
    store = store_of(client, inventory_id, namespace)
    assert await store.read() is None
    assert f"{namespace}/a-{inventory_id}, {namespace}/b-{inventory_id}" in store.strays
    assert "and others" in store.strays
    assert f"g-{inventory_id}" not in store.strays, "anybody may make any number of them"
    await store.write([record(1)])
    found = await store.read()
    assert found is not None
    assert found.damage is None
    assert found.records == {record(1).ref: record(1)}


async def test_values_that_were_not_sealed_for_this_entry_of_this_inventory_are_not_believed(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}"
    other = f"{inventory_id}x"
    await store_of(client, other, namespace).write([record(1)])
    await store_of(client, inventory_id, namespace).write(map(record, range(4)))
    names = [f"shop_object-{n:05}__ConfigMap" for n in range(4)]
    data = kube.get(path)["data"]
    assert not any(record(0).digest in value or record(0).uid in value for value in data.values())
    foreign = kube.get(f"{path}x")["data"][names[1]]
    assert foreign != data[names[1]]
    changed = data[names[2]][:-1] + ("A" if data[names[2]][-1] != "A" else "B")
    kube.patch(path, {"data": {names[0]: data[names[3]], names[1]: foreign, names[2]: changed}})
    found = await records_of(client, inventory_id, namespace)
    assert found == {record(3).ref: record(3)} | {record(n).ref: Recorded(record(n).ref) for n in range(3)}


async def test_values_of_before_are_not_believed_and_are_gone_after_the_next_write(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    body = {
        "metadata": {"name": f"inventory-{inventory_id}", "labels": {LABEL: inventory_id}},
        "data": {f"shop_object-{n:05}__ConfigMap": f"{record(n).digest}:{'f' * 16}:{record(n).uid}" for n in (1, 2)},
    }
    kube.create(f"/api/v1/namespaces/{namespace}/configmaps", body)
    store = store_of(client, inventory_id, namespace)
    found = await store.read()
    assert found is not None
    assert found.records == {record(n).ref: Recorded(record(n).ref) for n in (1, 2)}
    await store.write([record(1)])
    data = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}")["data"]
    assert data["shop_object-00002__ConfigMap"] == ""
    assert await records_of(client, inventory_id, namespace) == {**found.records, record(1).ref: record(1)}


async def test_replicas_that_make_the_key_at_once_have_the_same(client: KubeClient, namespace: str) -> None:
    keys = await asyncio.gather(*(InventoryKey(client, namespace).get() for _ in range(5)))
    assert len(set(keys)) == 1
    assert len(keys[0] or b"") == 32


async def test_without_the_right_to_a_key_names_alone_are_written_and_believed_and_it_is_said(
    client: KubeClient, confined: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    key = InventoryKey(confined, namespace)
    store = InventoryStore(client, inventory_id, namespace=namespace, key=key)
    await store.write([record(1)])
    data = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}")["data"]
    assert data == {"shop_object-00001__ConfigMap": ""}
    assert f"Secret {namespace}/agentk-inventory-key may not be read" in key.refused
    assert "gitlab-agent-leader-election" in key.refused
    found = await store.read()
    assert found is not None
    assert found.records == {record(1).ref: Recorded(record(1).ref)}


async def test_a_secret_that_holds_no_key_is_not_used_and_not_overwritten(
    client: KubeClient, kube: Kube, namespace: str
) -> None:
    home = f"{namespace}-broken"
    kube.create("/api/v1/namespaces", {"metadata": {"name": home}})
    body: dict[str, object] = {"metadata": {"name": "agentk-inventory-key"}, "stringData": {"key": "short"}}
    kube.create(f"/api/v1/namespaces/{home}/secrets", body)
    key = InventoryKey(client, home)
    assert await key.get() is None
    assert "holds no key; delete it" in key.refused
    kube.delete(f"/api/v1/namespaces/{home}/secrets/agentk-inventory-key")
    assert await InventoryKey(client, home).get() is not None


async def test_another_writer_is_noticed_and_not_overwritten(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    mine = store_of(client, inventory_id, namespace)
    await mine.write([record(1)])
    other = store_of(client, inventory_id, namespace)
    await other.read()
    await other.write([record(2)])
    with pytest.raises(InventoryConflictError, match="read it again"):
        await mine.write([record(3)])
    theirs = await mine.read()
    assert theirs is not None
    assert theirs.records.keys() == {record(1).ref, record(2).ref}
    await mine.write([record(3)], theirs.records)
    assert (await records_of(client, inventory_id, namespace)).keys() == {record(3).ref}

    kube.delete(f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}")
    with pytest.raises(InventoryConflictError, match="deleted by another"):
        await mine.write([record(4)])
    assert await mine.read() is None
    await mine.write([record(4)])

    # Recreated under its name, it is another one although nobody told.
    kube.delete(f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}")
    assert await other.read() is None
    await other.write([record(5)])
    with pytest.raises(InventoryConflictError):
        await mine.write([record(6)])


async def test_a_name_that_somebody_else_uses_is_not_taken(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    name = f"inventory-{inventory_id}"
    kube.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": name}, "data": {"a": "b"}})
    with pytest.raises(InventoryConflictError, match="exists already"):
        await store_of(client, inventory_id, namespace).write([record(1)])
    assert kube.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")["data"] == {"a": "b"}


async def test_a_write_whose_answer_was_lost_is_recognised_when_repeated(
    recording: Recording, namespace: str, inventory_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = KubeClient.send
    lose = True

    async def losing(self: KubeClient, method: str, path: str, **named: Any) -> Any:  # noqa: ANN401 - passes on
        nonlocal lose
        answer = await original(self, method, path, **named)
        if method != "GET" and lose:
            lose = False
            raise KubeError(0, "Timeout", "lost")
        return answer

    monkeypatch.setattr(KubeClient, "send", losing)
    store = store_of(recording, inventory_id, namespace)
    await store.write([record(1)])
    lose = True
    await store.write([record(2)], [record(1).ref])
    assert (await records_of(recording, inventory_id, namespace)).keys() == {record(2).ref}
    assert [method for method, _ in writes(recording)] == ["POST", "POST", "PATCH", "PATCH"]


@pytest.fixture
async def confined(
    kube: Kube, kubeconfig_of: Callable[[dict[str, object]], str], account_token: str, namespace: str
) -> AsyncIterator[KubeClient]:
    """A client that may list ConfigMaps in the namespace, and nothing else."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    name = f"lister-{secrets.token_hex(4)}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    kube.create(f"{rbac}/roles", {"metadata": {"name": name}, "rules": [rule]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    kube.create(f"{rbac}/rolebindings", {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
    async with await KubeClient.connect(kubeconfig=kubeconfig_of({"token": account_token})) as weak:

        async def allowed() -> bool:
            try:
                await weak.request("GET", f"/api/v1/namespaces/{namespace}/configmaps")
            except KubeError as error:
                if error.status != 403:
                    raise
                return False
            return True

        await eventually(allowed, what="the role is in force")
        yield weak


async def test_an_agent_confined_to_its_namespace_finds_its_inventory_there(
    client: KubeClient, confined: KubeClient, namespace: str, inventory_id: str
) -> None:
    await store_of(client, inventory_id, namespace).write([record(1)])
    found = await store_of(confined, inventory_id, namespace).read()
    assert found is not None
    assert found.records.keys() == {record(1).ref}
    with pytest.raises(KubeError, match="cannot list"):
        await store_of(confined, inventory_id, "default").read()


ME = Identity("group/app", "group/config", "prod")


def mine(client: KubeClient, inventory_id: str, namespace: str, identity: Identity = ME) -> InventoryStore:
    return InventoryStore(
        client, inventory_id, namespace=namespace, key=InventoryKey(client, namespace), identity=identity
    )


async def test_an_inventory_says_whose_it_is_and_is_found_by_that_under_another_number(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    first = mine(client, inventory_id, namespace)
    assert await first.identify() == inventory_id
    await first.write([record(1)])
    path = f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}"
    said = kube.get(path)["metadata"]["annotations"]
    assert (said["agentk.io/project"], said["agentk.io/configuration-project"], said["agentk.io/agent-name"]) == (
        "group/app",
        "group/config",
        "prod",
    )

    again = mine(client, "9-9", namespace)
    assert await again.identify() == inventory_id
    found = await again.read()
    assert found is not None
    assert (dict(found.records), found.proven) == ({record(1).ref: record(1)}, True)

    other = mine(client, inventory_id, namespace, Identity("group/other", "group/config", "prod"))
    with pytest.raises(InventoryError, match="is of project group/app of agent group/config:prod") as refused:
        await other.identify()
    assert refused.value.reason == "InventoryOfAnother"
    with pytest.raises(InventoryError, match="not of project group/other"):
        await other.read()

    kube.patch(path, {"metadata": {"annotations": {"agentk.io/project": "group/other"}}})
    assert await mine(client, "9-9", namespace, Identity("group/other", "group/config", "prod")).identify() == "9-9"


async def test_an_inventory_that_says_nothing_does_so_when_it_is_proven_and_not_before(
    client: KubeClient, kube: Kube, namespace: str, inventory_id: str
) -> None:
    await store_of(client, inventory_id, namespace).write([record(1), record(2)])
    path = f"/api/v1/namespaces/{namespace}/configmaps/inventory-{inventory_id}"
    store = mine(client, inventory_id, namespace)
    assert await store.identify() == inventory_id
    found = await store.read()
    assert found is not None
    assert not found.proven
    await store.write([record(3)])
    assert "agentk.io/project" not in kube.get(path)["metadata"].get("annotations", {})
    store.prove()
    await store.write([])
    assert kube.get(path)["metadata"]["annotations"]["agentk.io/project"] == "group/app"
    version = kube.get(path)["metadata"]["resourceVersion"]
    await store.write([])
    assert kube.get(path)["metadata"]["resourceVersion"] == version, "said once"
    await store.write([], [record(1).ref])
    later = await mine(client, inventory_id, namespace).read()
    assert later is not None
    assert (set(later.records), later.proven) == ({record(2).ref, record(3).ref}, True)
