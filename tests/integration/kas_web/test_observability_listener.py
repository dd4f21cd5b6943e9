"""Liveness, readiness and metrics over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kas.web.listener import listening
from kas.web.observability import Check, observability_app, syncs_by_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.kas_web.conftest import Kas


async def test_readiness_follows_its_checks_and_names_the_one_that_failed(kas: Kas) -> None:
    checks = [Check("store", ok=True), Check("git", ok=False, message="no disk")]

    async def readiness() -> Sequence[Check]:
        return checks

    app = observability_app(metrics=kas.metrics, readiness=readiness, count_syncs=syncs_by_state(kas.store))
    async with listening(app, "127.0.0.1", 0) as (host, port):
        async with kas.http.get(f"http://{host}:{port}/liveness") as alive:
            assert alive.status == 200
        async with kas.http.get(f"http://{host}:{port}/readiness") as not_ready:
            assert not_ready.status == 503
            assert (await not_ready.json())["checks"][1] == {"name": "git", "ok": False, "message": "no disk"}
        checks[1] = Check("git", ok=True)
        async with kas.http.get(f"http://{host}:{port}/readiness") as ready:
            assert ready.status == 200


async def test_metrics_tell_agents_syncs_and_requests_and_no_label_that_a_client_chose(kas: Kas) -> None:
    agent = await kas.store.agents.create("group/config", "my-agent")
    project_id = await kas.store.projects.id_of("group/app")
    await kas.store.syncs.received(agent.id, project_id, sync_id="s1", ref="branch main", commit="aaaa")
    kas.connect(agent, 1)
    kas.metrics.count_agents_by(lambda: len({session.identity.agent_id for session in kas.sessions.list()}))
    async with kas.http.get(f"{kas.address}/chosen-by-client?x=y", headers=kas.headers):
        pass
    async with kas.http.request("BREW", kas.url("agents/12345"), headers=kas.headers):
        pass
    await kas.get("agents/12345", status=404)

    async def readiness() -> Sequence[Check]:
        return ()

    app = observability_app(metrics=kas.metrics, readiness=readiness, count_syncs=syncs_by_state(kas.store))
    async with (
        listening(app, "127.0.0.1", 0) as (host, port),
        kas.http.get(f"http://{host}:{port}/metrics") as response,
    ):
        text = await response.text()
        assert response.headers["Content-Type"].startswith("text/plain")

    assert "kas_connected_agents 1.0" in text
    assert 'kas_syncs{state="received"} 1.0' in text
    assert 'kas_syncs{state="healthy"} 0.0' in text
    route = 'route="/api/v1/agents/{id}"'
    assert f'kas_http_requests_total{{listener="api",method="GET",{route},status="404"}} 1.0' in text
    for chosen in ("chosen-by-client", "12345", "BREW"):
        assert chosen not in text
