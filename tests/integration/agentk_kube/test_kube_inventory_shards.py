"""Inventories of many ConfigMaps on the real API server: what is sent, what a crash leaves, and what damage says."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agentk.apply.inventory import InventoryError
from agentk.apply.model import Recorded
from agentk.apply.shards import CAPACITY
from agentk.kube.client import KubeClient
from agentk.kube.errors import InventoryConflictError, KubeError
from agentk.kube.inventory_key import InventoryKey
from agentk.kube.inventory_store import InventoryStore
from agentk.kube.retry import RetryPolicy
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

LABEL = "cli-utils.sigs.k8s.io/inventory-id"
LISTED = "agentk.io/inventory-shards"

MANY = 4_500
"""Entries that fill two ConfigMaps and begin a third."""

ALL_WRITES = 6
"""What it takes to add 2,000 to them, and then to remove most of the first."""


class Counting(KubeClient):
    """The real client, which also remembers what was sent, and may lose the connection before the n-th write."""

    sent: list[tuple[str, str, int]]
    received: int
    writes_left: int | None

    async def send(self, method: str, path: str, *, body: bytes | None = None, **named: Any) -> Any:  # noqa: ANN401 - passes on
        if method != "GET" and self.writes_left is not None:
            if not self.writes_left:
                raise KubeError(0, "Unreachable", "as if killed")
            self.writes_left -= 1
        answer = await super().send(method, path, body=body, **named)
        self.sent.append((method, path, len(body or b"")))
        self.received += len(answer.body)
        return answer


@pytest.fixture
async def counting(control_plane: Cluster) -> AsyncIterator[Counting]:
    client = await Counting.connect(kubeconfig=str(control_plane.kubeconfig))
    assert isinstance(client, Counting)
    client.sent, client.received, client.writes_left = [], 0, None
    async with client:
        yield client


@pytest.fixture
def inventory_id() -> str:
    return f"7-{secrets.token_hex(4)}"


def store_of(
    client: KubeClient, inventory_id: str, namespace: str, *, retries: RetryPolicy | None = None
) -> InventoryStore:
    return InventoryStore(
        client, inventory_id, namespace=namespace, key=InventoryKey(client, namespace), retries=retries
    )


def ref(number: int) -> ObjectRef:
    return ObjectRef("apps", "Deployment", "shop", f"a-name-as-long-as-people-give-them-{number:05}")


def record(number: int, digest: str = "0123456789abcdef") -> Recorded:
    return Recorded(ref(number), digest, "fedcba9876543210", "8a5f8f4e-1111-2222-3333-444455556666")


class Shards:
    """The ConfigMaps of one inventory as the API server has them."""

    def __init__(self, kube: Kube, namespace: str, inventory_id: str) -> None:
        self.kube = kube
        self.collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self.name = f"inventory-{inventory_id}"
        self.selector = f"{LABEL} in ({inventory_id},{inventory_id}.shard)"

    def all(self) -> dict[str, dict[str, Any]]:
        found = self.kube.get(self.collection, labelSelector=self.selector)["items"]
        return {one["metadata"]["name"].removeprefix(self.name): one for one in found}

    def path(self, suffix: str = "") -> str:
        return f"{self.collection}/{self.name}{suffix}"

    @property
    def listed(self) -> str:
        return str(self.kube.get(self.path())["metadata"]["annotations"][LISTED])


@pytest.fixture
def shards(kube: Kube, namespace: str, inventory_id: str) -> Shards:
    return Shards(kube, namespace, inventory_id)


@pytest.fixture
async def store(client: KubeClient, namespace: str, inventory_id: str) -> InventoryStore:
    """A store that holds MANY entries in three ConfigMaps."""
    made = store_of(client, inventory_id, namespace)
    await made.write(map(record, range(MANY)))
    return made


async def test_what_does_not_fit_into_one_configmap_is_in_further_ones_that_look_like_no_inventory(
    client: KubeClient, namespace: str, store: InventoryStore, shards: Shards, inventory_id: str
) -> None:
    found = shards.all()
    assert sorted(found) == ["", ".1", ".2"]
    assert shards.listed == "1,2"
    assert found[""]["metadata"]["labels"] == {LABEL: inventory_id}
    assert found[".2"]["metadata"]["labels"] == {LABEL: f"{inventory_id}.shard", "agentk.io/inventory-shard": "2"}
    whole = await store_of(client, inventory_id, namespace).read()
    assert whole is not None
    assert whole.damage is None
    assert whole.records == {ref(n): record(n) for n in range(MANY)}

    # Shrunk again, it is one ConfigMap.
    await store.write([], map(ref, range(1000, MANY)))
    assert sorted(shards.all()) == [""]
    assert shards.listed == ""


async def test_fifty_thousand_entries_are_written_and_read_and_changing_one_sends_that_one(
    counting: Counting, namespace: str, inventory_id: str
) -> None:
    store = store_of(counting, inventory_id, namespace)
    await store.write(Recorded(ref(n)) for n in range(50_000))
    await store.write(map(record, range(50_000)))
    sizes = [size for method, _, size in counting.sent if method != "GET"]
    assert len(sizes) <= 2 * (50_000 * 155 // CAPACITY + 2)
    assert max(sizes) < 1 << 20

    counting.sent.clear()
    reader = store_of(counting, inventory_id, namespace)
    found = await reader.read()
    assert found is not None
    assert found.damage is None
    assert len(found.records) == 50_000
    assert found.records[ref(31_415)] == record(31_415)
    assert {method for method, _, _ in counting.sent} == {"GET"}
    assert len(counting.sent) == 4, "two pages, a look for others, and the key"

    counting.sent.clear()
    counting.received = 0
    await reader.write([record(31_415, "a" * 16)])
    ((method, _, size),) = counting.sent
    assert method == "PATCH"
    assert size < 400
    assert counting.received < 1000


@pytest.mark.parametrize("survived", range(7))
async def test_agentk_killed_between_two_writes_forgets_nothing_and_ends_the_work_when_it_is_back(
    survived: int, counting: Counting, shards: Shards, namespace: str, inventory_id: str
) -> None:
    store = store_of(counting, inventory_id, namespace, retries=RetryPolicy(attempts=1))
    await store.write(map(record, range(MANY)))
    left, stays = set(map(ref, range(1900, MANY))), set(map(ref, range(1900)))
    new = set(map(ref, range(MANY, MANY + 2000)))
    writes = [([record(n) for n in range(MANY, MANY + 2000)], ()), ([], left)]
    counting.writes_left = survived
    with pytest.raises(KubeError, match="as if killed") if survived < ALL_WRITES else nullcontext():
        for changed, removed in writes:
            await store.write(changed, removed)
    counting.writes_left = None

    after = store_of(counting, inventory_id, namespace)
    found = await after.read()
    assert found is not None
    assert found.damage is None
    assert stays <= found.records.keys() <= stays | left | new

    for changed, removed in writes:
        await after.write(changed, removed)
    found = await after.read()
    assert found is not None
    assert found.records.keys() == stays | new
    assert shards.listed == ",".join(name[1:] for name in sorted(shards.all()) if name)


async def test_a_shard_that_somebody_deleted_is_named_and_can_be_put_back(
    client: KubeClient, namespace: str, store: InventoryStore, shards: Shards, inventory_id: str
) -> None:
    lost = shards.all()[".1"]
    shards.kube.delete(shards.path(".1"))
    with pytest.raises(InventoryConflictError, match=r"\.1 was changed or deleted by another"):
        await store.write([record(3000, "a" * 16)])
    found = await store.read()
    assert found is not None
    assert str(found.damage).startswith(
        f"ConfigMap {lost['metadata']['namespace']}/{lost['metadata']['name']} is missing"
    )
    assert "take 1 off the annotation" in str(found.damage)
    assert len(found.records) == MANY - len(lost["data"])

    # What is recorded meanwhile goes elsewhere; the shard is still missing after it.
    await store.write([record(MANY)])
    again = await store.read()
    assert again is not None
    assert again.damage is not None

    metadata = {key: lost["metadata"][key] for key in ("name", "namespace", "labels")}
    shards.kube.create(shards.collection, {"metadata": metadata, "data": lost["data"]})
    whole = await store_of(client, inventory_id, namespace).read()
    assert whole is not None
    assert whole.damage is None
    assert whole.records == {ref(n): record(n) for n in range(MANY + 1)}


async def test_a_shard_that_is_lost_is_given_up_as_the_message_says(store: InventoryStore, shards: Shards) -> None:
    shards.kube.delete(shards.path(".2"))
    shards.kube.patch(shards.path(), {"metadata": {"annotations": {LISTED: "1"}}})
    found = await store.read()
    assert found is not None
    assert found.damage is None
    assert 0 < len(found.records) < MANY


async def test_shards_without_their_head_are_no_inventory_and_not_overwritten(
    store: InventoryStore, shards: Shards
) -> None:
    shards.kube.delete(shards.path())
    for attempt in (store.read(), store.write([record(1)])):
        with pytest.raises(InventoryError, match="is gone, while 2 further ones"):
            await attempt
    assert sorted(shards.all()) == [".1", ".2"]


async def test_a_list_of_shards_that_cannot_be_read_is_an_error(store: InventoryStore, shards: Shards) -> None:
    shards.kube.patch(shards.path(), {"metadata": {"annotations": {LISTED: "one and two"}}})
    with pytest.raises(InventoryError, match=f"annotation {LISTED}: its list of shards reads 'one and two'"):
        await store.read()
    # Without any, what is there is read, and listed again by the next write.
    shards.kube.patch(shards.path(), {"metadata": {"annotations": {LISTED: None}}})
    found = await store.read()
    assert found is not None
    assert len(found.records) == MANY
    await store.write([record(1, "a" * 16)])
    assert shards.listed == "1,2"


async def test_a_copy_of_a_shard_under_another_name_is_named_and_not_read(
    store: InventoryStore, shards: Shards, inventory_id: str
) -> None:
    labels = {LABEL: f"{inventory_id}.shard", "agentk.io/inventory-shard": "2"}
    body = {"metadata": {"name": f"copy-{inventory_id}", "labels": labels}, "data": {"shop_x__ConfigMap": ""}}
    shards.kube.create(shards.collection, body)
    found = await store.read()
    assert found is not None
    assert found.damage is None
    assert f"have no effect: {shards.collection.split('/')[4]}/copy-{inventory_id};" in store.strays
    assert len(found.records) == MANY


async def test_an_entry_that_names_no_object_is_told_with_its_configmap(store: InventoryStore, shards: Shards) -> None:
    shards.kube.patch(shards.path(".1"), {"data": {"nonsense": "1"}})
    found = await store.read()
    assert found is not None
    assert str(found.damage).startswith(
        f"ConfigMap {shards.collection.split('/')[4]}/{shards.name}.1, entry 'nonsense'"
    )
    assert len(found.records) == MANY


async def test_an_inventory_of_one_full_configmap_grows_into_shards_and_moves_nothing(
    client: KubeClient, kube: Kube, shards: Shards, namespace: str, inventory_id: str
) -> None:
    """As an earlier agentk left it: nearly a megabyte, in which every key is repeated by managedFields."""
    old = {f"shop_{ref(n).name}_apps_Deployment": "" for n in range(9_000)}
    body = {"metadata": {"name": shards.name, "labels": {LABEL: inventory_id}}, "data": old}
    kube.create(shards.collection, body)
    store = store_of(client, inventory_id, namespace)
    await store.read()
    await store.write([record(n) for n in range(8_999, 9_100)])
    found = shards.all()
    assert sorted(found) == ["", ".1"]
    assert found[""]["data"].keys() == old.keys()
    assert len(found[".1"]["data"]) == 100
    assert orjson.dumps(found[""]).find(b"managedFields") == -1
