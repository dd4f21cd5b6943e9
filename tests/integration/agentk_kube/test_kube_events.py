"""Events on an inventory as kubectl finds them, and that writing them disturbs nobody."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from agentk.kube.client import KubeClient
from agentk.kube.events import DIFFERENT_MESSAGES, MAX_MESSAGE, REPEAT_SECONDS, WINDOW_SECONDS, EventRecorder
from agentk.kube.inventory_maps import StoredMap
from agentlink.refs import ObjectRef
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched(KubeClient):
    """The real client, which also counts what was answered."""

    answered: list[str]

    async def send(self, method: str, path: str, **named: Any) -> Any:  # noqa: ANN401 - passes on
        try:
            return await super().send(method, path, **named)
        finally:
            self.answered.append(method)


@pytest.fixture
async def watched(control_plane: Cluster) -> AsyncIterator[Watched]:
    client = await Watched.connect(kubeconfig=str(control_plane.kubeconfig))
    assert isinstance(client, Watched)
    client.answered = []
    async with client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def recorder(watched: Watched, clock: Clock) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(watched, clock=clock)
    async with recorder.running():
        yield recorder


@pytest.fixture
def inventory(kube: Kube, namespace: str) -> StoredMap:
    name = f"inventory-7-{secrets.token_hex(4)}"
    metadata = kube.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": name}})["metadata"]
    return StoredMap(ObjectRef("", "ConfigMap", namespace, name), metadata["uid"], metadata["resourceVersion"])


class Described:
    """The events that ``kubectl describe configmap`` shows."""

    def __init__(self, kube: Kube, inventory: StoredMap) -> None:
        self._kube = kube
        self.collection = f"/api/v1/namespaces/{inventory.ref.namespace}/events"
        self._selector = (
            f"involvedObject.name={inventory.ref.name},involvedObject.namespace={inventory.ref.namespace},"
            f"involvedObject.kind=ConfigMap,involvedObject.uid={inventory.uid}"
        )

    def all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._kube.get(self.collection, fieldSelector=self._selector)["items"]
        return found

    async def until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        await eventually(lambda: condition(self.all()), what="the events are as expected")
        return self.all()


@pytest.fixture
def described(kube: Kube, inventory: StoredMap) -> Described:
    return Described(kube, inventory)


async def test_an_event_is_found_where_kubectl_describe_looks_for_it(
    recorder: EventRecorder, described: Described, inventory: StoredMap, kube: Kube
) -> None:
    recorder.note("SyncFailed", "revision 1a2b: no such file", inventory, warning=True)
    (event,) = await described.until(lambda found: len(found) == 1)
    assert (event["type"], event["reason"], event["count"]) == ("Warning", "SyncFailed", 1)
    assert event["message"] == "revision 1a2b: no such file"
    assert event["source"] == {"component": "agentk"}
    assert event["involvedObject"]["resourceVersion"] == inventory.version
    (newer,) = [
        one
        for one in kube.get(f"/apis/events.k8s.io/v1/namespaces/{inventory.ref.namespace}/events")["items"]
        if one["regarding"]["name"] == inventory.ref.name
    ]
    assert (newer["reportingController"], newer["note"]) == ("agentk", event["message"])


async def test_the_same_again_raises_its_count_and_not_faster_than_once_in_ten_seconds(
    recorder: EventRecorder, described: Described, watched: Watched, clock: Clock, inventory: StoredMap
) -> None:
    recorder.note("DriftCorrected", "shop/web was put back", inventory)
    await described.until(lambda found: len(found) == 1)
    for _ in range(49):
        recorder.note("DriftCorrected", "shop/web was put back", inventory)
    recorder.note("Other", "is written meanwhile", inventory)
    found = await described.until(lambda found: len(found) == 2)
    assert sorted(event["count"] for event in found) == [1, 1]
    assert watched.answered == ["POST", "POST"]
    clock.now += REPEAT_SECONDS
    recorder.note("DriftCorrected", "shop/web was put back", inventory)
    found = await described.until(lambda found: {event["count"] for event in found} == {1, 51})
    assert watched.answered == ["POST", "POST", "PATCH"]


async def test_of_many_similar_ones_all_but_the_first_are_one_event(
    recorder: EventRecorder, described: Described, clock: Clock, inventory: StoredMap
) -> None:
    for number in range(500):
        recorder.note("DriftCorrected", f"object {number} was put back", inventory)
    found = await described.until(lambda found: len(found) == DIFFERENT_MESSAGES + 1)
    (combined,) = [event for event in found if event["count"] > 1]
    assert combined["count"] == 500 - DIFFERENT_MESSAGES
    assert combined["message"] == "(combined from similar events): object 499 was put back"
    # After a while the same is news again.
    clock.now += WINDOW_SECONDS
    recorder.note("DriftCorrected", "object 0 was put back", inventory)
    await described.until(lambda found: len(found) == DIFFERENT_MESSAGES + 2)


async def test_an_event_that_the_server_has_forgotten_is_made_anew(
    recorder: EventRecorder, described: Described, kube: Kube, clock: Clock, inventory: StoredMap
) -> None:
    recorder.note("Stalled", "a finalizer never ends", inventory, warning=True)
    (first,) = await described.until(lambda found: len(found) == 1)
    kube.delete(f"{described.collection}/{first['metadata']['name']}")
    clock.now += REPEAT_SECONDS
    recorder.note("Stalled", "a finalizer never ends", inventory, warning=True)
    (again,) = await described.until(lambda found: len(found) == 1)
    assert again["count"] == 2


async def test_a_message_is_cut_to_what_an_event_holds_and_cannot_act_on_a_terminal(
    recorder: EventRecorder, described: Described, inventory: StoredMap
) -> None:
    recorder.note("SyncFailed", "\x1b[2J" + "ü" * 5000, inventory, warning=True)
    (event,) = await described.until(lambda found: len(found) == 1)
    assert len(event["message"].encode()) <= MAX_MESSAGE
    assert event["message"].startswith("\\x1b[2J")
    assert event["message"].endswith("ü…")


async def test_before_there_is_an_inventory_the_event_is_where_it_will_be(
    recorder: EventRecorder, kube: Kube, namespace: str
) -> None:
    name = f"inventory-7-{secrets.token_hex(4)}"
    recorder.note("SyncFailed", "first of all", StoredMap(ObjectRef("", "ConfigMap", namespace, name), "", ""))
    path = f"/api/v1/namespaces/{namespace}/events"

    def found() -> bool:
        return bool(kube.get(path, fieldSelector=f"involvedObject.name={name}")["items"])

    await eventually(found, what="the event is there")


async def test_without_the_right_to_write_events_it_is_said_once_and_nobody_is_disturbed(
    watched: Watched,
    kubeconfig_of: Callable[[dict[str, object]], str],
    account_token: str,
    inventory: StoredMap,
    described: Described,
) -> None:
    weak = await Watched.connect(kubeconfig=kubeconfig_of({"token": account_token}))
    assert isinstance(weak, Watched)
    weak.answered = []
    refused: dict[str, float] = {}
    recorder, another = EventRecorder(weak, refused=refused), EventRecorder(weak, refused=refused)
    with capture_logs() as told:
        async with weak, recorder.running(), another.running():
            for number in range(5):
                recorder.note("Synced", f"revision {number}", inventory)
            await eventually(lambda: bool(weak.answered), what="the first was refused")
            another.note("Pruned", "of another project", inventory)
            clear = StoredMap(inventory.ref._replace(namespace="default"), "", "")
            another.note("Pruned", "where nobody was refused yet", clear)
            await eventually(lambda: len(weak.answered) > 1, what="that was refused too")
    (line,) = [one for one in told if one["log_level"] == "warning"]
    assert "create and patch events" in line["event"]
    assert weak.answered == ["POST", "POST"], "what is forbidden is not asked for again and again"
    assert described.all() == []
    assert watched.answered == []
