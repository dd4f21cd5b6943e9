"""``kas wait`` as a pipeline runs it, against a kas whose agent a test plays."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from kas.store.batches import Batch
from kas.store.records import Counts, SyncState
from kas.store.sync_rules import SyncReported
from kas.store.times import utc_now
from tests.integration.kas_operations.conftest import APP, NAME
from tests.support.manifests import config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from kas.store.records import SyncRecord
    from tests.integration.kas_operations.conftest import Kas


async def reported(kas: Kas, sync: SyncRecord, state: SyncState, message: str = "") -> None:
    counts = Counts(total=1, created=1)
    report = SyncReported(sync.id, sync.project_id, sync.commit, state, "", message, counts, utc_now())
    await kas.store.batches.write(Batch(kas.agent.id, (report,), (), ()))


async def test_it_ends_when_the_commit_runs_on_every_agent_of_the_project(kas: Kas) -> None:
    async with kas.played() as agent, asyncio.TaskGroup() as tasks:
        await eventually(lambda: bool(agent.received), what="the first revision")
        first = await kas.synced(agent.commit)
        await reported(kas, first, SyncState.HEALTHY)
        already = await kas.cli("wait", APP, "--commit", first.commit[:7])
        assert (already.code, already.err) == (0, "")
        assert already.out == f"agent {NAME}: project {APP} @ {first.commit[:8]} healthy, 1 (1 created)\n"

        commit = await asyncio.to_thread(kas.push, "2")
        waiting = tasks.create_task(kas.cli("wait", APP, "--commit", commit, "-o", "json"))
        sync = await kas.synced(commit)
        await reported(kas, sync, SyncState.APPLIED)
        applied = await kas.cli("wait", APP, "--commit", commit, "--agent", NAME, "--for", "applied")
        assert applied.code == 0, applied.err
        assert not waiting.done()
        await reported(kas, sync, SyncState.HEALTHY)
        ran = await waiting
        assert ran.code == 0, ran.err
        assert [(item["commit"], item["state"]) for item in json.loads(ran.out)["items"]] == [(commit, "healthy")]


async def test_it_fails_with_what_keeps_the_commit_from_running(kas: Kas) -> None:
    async with kas.played() as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        await reported(kas, await kas.synced(agent.commit), SyncState.FAILED, "configmap/app: no")
        failed = await kas.cli("wait", APP, "--commit", agent.commit)
        assert (failed.code, "failed, 1 (1 created): configmap/app: no" in failed.out) == (1, True), failed

        broken = kas.repository.push_files({"manifests/app.yaml": "kind: [\n"})
        kas.watcher.poke(APP)
        refused = await kas.cli("wait", APP, "--commit", broken)
        assert (refused.code, "manifests/app.yaml:" in refused.out) == (1, True), refused


async def test_a_wait_that_is_over_says_what_there_is_instead(kas: Kas) -> None:
    async with kas.played() as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        first = await kas.synced(agent.commit)
        ran = await kas.cli("wait", APP, "--commit", "0" * 40, "--timeout", "1s")
        assert ran.code == 4
        assert "error: not healthy within 1 s:\n" in ran.err
        assert f"error: agent {NAME} has {first.commit[:8]} received\n" in ran.err
        assert "hint: `kas history` shows what there was instead" in ran.err
    await eventually(lambda: not kas.listener.sessions.list(), what="the agent has gone")
    ran = await kas.cli("wait", APP, "--commit", "0" * 40, "--agent", NAME, "--timeout", "1s")
    assert (ran.code, "agent not connected since" in ran.err) == (3, True), ran


async def test_a_commit_that_a_newer_push_forestalled_is_superseded_at_once(kas: Kas) -> None:
    async with kas.played() as agent, asyncio.TaskGroup() as tasks:
        await eventually(lambda: bool(agent.received), what="the first revision")
        first = agent.commit
        # Not pushed before the newer one is: kas never finds it at the ref.
        kas.repository.write({"manifests/app.yaml": config_map("skipped")})
        skipped = kas.repository.commit()
        waiting = tasks.create_task(kas.cli("wait", APP, "--commit", skipped, "--timeout", "1m"))
        short = tasks.create_task(kas.cli("wait", APP, "--commit", skipped[:7], "-o", "json", "--timeout", "1m"))
        newest = await asyncio.to_thread(kas.push, "2")
        await kas.synced(newest)
        ran, listed = await waiting, await short
    words = f"superseded: {newest[:8]}, pushed after it, was there first"
    assert (ran.code, ran.out) == (1, f"agent {NAME}: project {APP} @ {skipped[:8]} {words}\n")
    told = json.loads(listed.out)
    assert (listed.code, told["items"]) == (1, [])
    (overtaken,) = told["overtaken"]
    assert (overtaken["agent"]["name"], overtaken["commit"], overtaken["by"]) == (NAME, skipped[:7], newest)

    async def by(commit: str) -> object:
        return (await kas.call("GET", f"agents/{kas.agent.id}/overtaken?project={APP}&commit={commit}"))["by"]

    # Nothing has taken the place of what was sent, of what is newer, and of what nobody knows.
    assert [await by(commit) for commit in (skipped, first, newest, "0" * 40)] == [newest, "", "", ""]


async def test_what_is_synced_by_nobody_is_said_at_once(kas: Kas) -> None:
    none = await kas.cli("wait", "group/nothing", "--commit", "0" * 40)
    assert (none.code, "kas has not met a project 'group/nothing'" in none.err) == (1, True), none
    await kas.store.projects.id_of("group/nothing")
    none = await kas.cli("wait", "group/nothing", "--commit", "0" * 40)
    assert (none.code, "no agent syncs group/nothing" in none.err) == (1, True), none
    wrong = await kas.cli("wait", APP, "--commit", "main")
    assert (wrong.code, "is not a commit: 7 digits" in wrong.err) == (2, True), wrong
