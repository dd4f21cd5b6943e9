"""What people order of a project, and what is left alone while it is suspended, against the real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentk.apply.names import DEPENDS_ON
from agentlink.refs import ObjectRef, digest_of
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.driven_agent import DrivenAgent, driven_agent
from tests.support.synced import Gates
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

SUSPENSION = wire.Suspension(by="alice", reason="an incident")


@pytest.fixture
async def agent(control_plane: Cluster, kube: Kube, tmp_path: Path) -> AsyncIterator[DrivenAgent]:
    async with driven_agent(control_plane, kube, tmp_path) as driven:
        yield driven


def value(kube: Kube, agent: DrivenAgent, name: str) -> str | None:
    found = kube.find(f"/api/v1/namespaces/{agent.namespace}/configmaps/{name}")
    return found["data"]["value"] if found else None


async def test_a_suspended_project_is_looked_at_and_not_written_to_until_it_is_resumed(
    agent: DrivenAgent, kube: Kube
) -> None:
    agent.configure()
    first = agent.offer(agent.config_map("a"), agent.config_map("b"))
    await agent.reached(first, "healthy")

    agent.configure(suspension=SUSPENSION)
    told = await agent.reached(first, "healthy", reason="Suspended")
    assert "suspended by alice: an incident" in told.message

    path = f"/api/v1/namespaces/{agent.namespace}/configmaps/a"
    kube.patch(path, {"data": {"value": "by hand"}})
    await eventually(lambda: (one := agent.outcome("a")) and one.reason == "Drifted", what="drift is told")
    second = agent.offer(agent.config_map("a", "2"))
    await agent.reached(second, "received", reason="Suspended")
    refused = await agent.order(reconcile=wire.Reconcile())
    assert (refused.reason, refused.done) == ("Suspended", True)
    assert value(kube, agent, "a") == "by hand"
    assert value(kube, agent, "b") == "1"

    agent.configure()
    await agent.reached(second, "healthy")
    assert value(kube, agent, "a") == "2"
    assert value(kube, agent, "b") is None


async def test_an_agent_that_starts_while_a_project_is_suspended_applies_nothing_and_sees_what_is_applied(
    control_plane: Cluster, agent: DrivenAgent, kube: Kube, tmp_path: Path
) -> None:
    agent.configure()
    await agent.reached(agent.offer(agent.config_map("a")), "healthy")
    # The same agent, started anew: what it did before is in the cluster alone.
    (tmp_path / "anew").mkdir()
    async with driven_agent(control_plane, kube, tmp_path / "anew", of=agent) as anew:
        anew.configure(suspension=SUSPENSION)
        await anew.reached(anew.offer(anew.config_map("a")), "healthy", reason="Suspended")
        newer = anew.offer(anew.config_map("a", "2"), anew.config_map("b"))
        await anew.reached(newer, "received", reason="Suspended")
        assert value(kube, agent, "a") == "1"
        assert value(kube, agent, "b") is None
        anew.configure()
        await anew.reached(newer, "healthy")
        assert value(kube, agent, "a") == "2"


async def test_reconcile_reads_inventory_and_objects_anew_and_answers_when_it_has_begun(
    agent: DrivenAgent, kube: Kube
) -> None:
    agent.configure()
    unreceived = await agent.order(reconcile=wire.Reconcile())
    assert unreceived.reason == "NothingReceived"
    sync_id = agent.offer(agent.config_map("a"))
    await agent.reached(sync_id, "healthy")
    # An inventory that somebody deleted is not noticed by itself.
    selector = f"cli-utils.sigs.k8s.io/inventory-id={agent.inventory_id}"
    inventories = f"/api/v1/namespaces/{agent.namespace}/configmaps"

    def inventory() -> list[str]:
        return [one["metadata"]["name"] for one in kube.get(inventories, labelSelector=selector)["items"]]

    for name in inventory():
        kube.delete(f"{inventories}/{name}")
    agent.kas.stored.clear()
    answer = await agent.order(reconcile=wire.Reconcile())

    assert (answer.reason, answer.message) == ("", "")
    await eventually(lambda: agent.outcome("a"), what="its objects are told anew")
    await agent.reached(sync_id, "healthy")
    assert inventory()


async def test_a_prune_is_confirmed_for_exactly_the_objects_that_were_looked_at(agent: DrivenAgent, kube: Kube) -> None:
    names = [f"map-{number}" for number in range(12)]
    agent.configure()
    await agent.reached(agent.offer(*[agent.config_map(name) for name in names]), "healthy")
    nothing = await agent.order(confirm_prune=wire.ConfirmPrune(objects_digest=digest_of([])))
    assert nothing.reason == "PruneSetChanged"

    sync_id = agent.offer(agent.config_map(names[0]))
    await agent.reached(sync_id, "healthy", reason="PruneNeedsConfirmation")
    waiting = [ObjectRef("", "ConfigMap", agent.namespace, name) for name in names[1:]]
    wrong = await agent.order(confirm_prune=wire.ConfirmPrune(objects_digest=digest_of(waiting[1:])))
    assert wrong.reason == "PruneSetChanged"
    assert "11 objects wait" in wrong.message
    assert {one.object.name for one in wrong.objects} == set(names[1:])
    assert value(kube, agent, names[1]) == "1"

    right = await agent.order(confirm_prune=wire.ConfirmPrune(objects_digest=digest_of(waiting)))

    assert right.reason == "", right
    told = await agent.reached(sync_id, "healthy")
    assert (told.counts.pruned, told.counts.total) == (11, 1)
    assert [value(kube, agent, name) for name in names] == ["1", *[None] * 11]
    again = await agent.order(confirm_prune=wire.ConfirmPrune(objects_digest=digest_of(waiting)))
    assert again.reason == "PruneSetChanged"


async def test_objects_that_others_delete_while_they_wait_are_told_and_do_not_stop_the_rest(
    agent: DrivenAgent, kube: Kube
) -> None:
    names = [f"map-{number}" for number in range(12)]
    agent.configure()
    await agent.reached(agent.offer(*[agent.config_map(name) for name in names]), "healthy")
    sync_id = agent.offer(agent.config_map(names[0]))
    await agent.reached(sync_id, "healthy", reason="PruneNeedsConfirmation")
    waiting = [ObjectRef("", "ConfigMap", agent.namespace, name) for name in names[1:]]
    kube.delete(f"/api/v1/namespaces/{agent.namespace}/configmaps/{names[1]}")

    right = await agent.order(confirm_prune=wire.ConfirmPrune(objects_digest=digest_of(waiting)))

    assert right.reason == "", right
    await agent.reached(sync_id, "healthy")
    assert [value(kube, agent, name) for name in names] == ["1", *[None] * 11]
    told = agent.outcome(names[1])
    assert told is not None
    assert (told.result, told.reason) == (wire.RESULT_PRUNED, "AlreadyGone")


async def test_what_cannot_be_ordered_is_answered_with_the_reason(agent: DrivenAgent) -> None:
    agent.configure()
    await agent.reached(agent.offer(agent.config_map("a")), "healthy")

    assert (await agent.order(project=99, reconcile=wire.Reconcile())).reason == "UnknownProject"
    assert (await agent.order()).reason == "UnknownCommand"


async def test_the_answer_outlives_a_connection_that_breaks(agent: DrivenAgent) -> None:
    agent.configure()
    sync_id = agent.offer(agent.config_map("a"))
    await agent.reached(sync_id, "healthy")
    command = agent.command(reconcile=wire.Reconcile())
    agent.kas.send(wire.KasMessage(command=command))
    await eventually(lambda: agent.kas.taken >= 5, what="the command is sent")
    agent.kas.listener.sessions.close_all()
    assert (await agent.answered(command)).reason == ""


async def test_a_diff_says_what_a_revision_would_change_and_changes_nothing(agent: DrivenAgent, kube: Kube) -> None:
    agent.configure()
    sync_id = agent.offer(agent.config_map("kept"), agent.config_map("changed"), agent.config_map("left"))
    await agent.reached(sync_id, "healthy")
    told = len(agent.syncs(sync_id))
    command = agent.command(diff=wire.Diff())
    agent.kas.send(wire.KasMessage(command=command))
    objects = [agent.config_map("kept"), agent.config_map("changed", "2"), agent.config_map("new")]
    agent.offer(*objects, command_id=command.id)

    last = await agent.answered(command)

    assert last.reason == "", last
    parts = [part for part in agent.kas.answers if part.command_id == command.id]
    results = {one.object.name: wire.Result.Name(one.result) for part in parts for one in part.objects}
    assert results == {
        "kept": "RESULT_UNCHANGED",
        "changed": "RESULT_CONFIGURED",
        "left": "RESULT_PRUNED",
        "new": "RESULT_CREATED",
    }
    fields = [field for part in parts for one in part.objects if one.object.name == "changed" for field in one.fields]
    assert ("/data/value", '"1"', '"2"') in [(field.path, field.before, field.after) for field in fields]
    assert (last.counts.total, last.counts.pruned, last.counts.created) == (3, 1, 1)
    assert [value(kube, agent, name) for name in ("changed", "left", "new")] == ["1", "1", None]
    assert len(agent.syncs(sync_id)) == told


async def test_a_sync_that_is_under_way_stops_with_the_next_object_when_the_project_is_suspended(
    agent: DrivenAgent, kube: Kube
) -> None:
    many = [agent.config_map(f"map-{number:04}") for number in range(1500)]
    agent.configure()
    sync_id = agent.offer(*many)
    path = f"/api/v1/namespaces/{agent.namespace}/configmaps"

    def count() -> int:
        return len(kube.get(path, labelSelector=f"agentk.io/agent={agent.agent_id}")["items"])

    await eventually(lambda: count() > 0, what="the first object")
    agent.configure(suspension=SUSPENSION)
    await agent.reached(sync_id, "received", reason="Suspended")
    stopped_at = count()
    assert 0 < stopped_at < len(many)

    agent.configure()
    done = await agent.reached(sync_id, "healthy")
    assert (done.counts.total, done.counts.created) == (len(many), len(many) - stopped_at)


@pytest.mark.parametrize("by", ["a newer revision", "a suspension", "an order"])
async def test_a_wait_for_another_object_ends_when_there_is_something_newer(
    agent: DrivenAgent, kube: Kube, by: str
) -> None:
    gates = Gates(kube)
    named = agent.config_map("waiting")
    named["metadata"]["annotations"] = {DEPENDS_ON: gates.ref(agent.namespace, "gate")}
    agent.configure()
    try:
        first = agent.offer(gates.definition, gates.gate("gate"), named)
        await eventually(lambda: kube.find(gates.path(agent.namespace, "gate")), what="the gate, which stays shut")

        if by == "a newer revision":
            agent.offer(gates.definition, gates.gate("gate"), agent.config_map("waiting", "2"))
            await eventually(lambda: value(kube, agent, "waiting") == "2", what="the newer revision is applied")
        elif by == "a suspension":
            agent.configure(suspension=SUSPENSION)
            await agent.reached(first, "received", reason="Suspended")
            assert value(kube, agent, "waiting") is None
        else:
            assert (await agent.order(reconcile=wire.Reconcile())).reason == ""
            gates.open(agent.namespace, "gate")
            await agent.reached(first, "healthy")
    finally:
        kube.delete(gates.definition_path)
