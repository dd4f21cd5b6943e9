"""Going back to an earlier revision and forward again, and the history of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kas.git.refs import DEFAULT_BRANCH
from tests.integration.kas_operations.conftest import APP, NAME
from tests.support.manifests import config_files, config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from agentk.apply.model import Snapshot
    from tests.integration.kas_operations.conftest import Kas, Played


async def has(agent: Played, commit: str) -> None:
    await eventually(lambda: agent.commit == commit, what=f"the agent has {commit[:8]}")


def objects(snapshot: Snapshot) -> bytes:
    return b"".join(json for file in snapshot.files.values() for json in file)


async def test_a_pinned_project_stays_whatever_is_pushed_and_goes_to_the_newest_when_it_is_unpinned(kas: Kas) -> None:
    async with kas.played() as agent:
        first = kas.repository.head()
        await has(agent, first)
        second = kas.push("2")
        await has(agent, second)
        await kas.synced(second)

        done = await kas.cli("rollback", APP, "--agent", NAME, "--to", first[:8], "--reason", "errors")
        assert (done.code, done.out) == (0, f"project {APP} on agent {NAME} pinned to {first[:8]} by alice: errors\n")
        assert "--unpin" in done.err
        await has(agent, first)
        assert b'"1"' in objects(agent.received[-1])

        third = kas.push("3")
        await eventually_available(kas, third)
        assert agent.commit == first
        table = (await kas.cli("get", "syncs")).out
        assert "received,pinned" in table
        assert f"pinned to {first[:8]} by alice (newest is {third[:8]}): errors" in table

        unpinned = await kas.cli("rollback", APP, "--agent", NAME, "--unpin")
        assert (unpinned.code, unpinned.out) == (0, f"project {APP} on agent {NAME} follows its ref again\n")
        await has(agent, third)
        again = await kas.cli("rollback", APP, "--agent", NAME, "--unpin")
        assert (again.code, "is not pinned" in again.err) == (1, True)
    assert [line.action for line in await kas.store.audit.list()] == ["project.pin", "project.unpin"]
    messages = [event.message for event in await kas.store.events.list(agent_id=kas.agent.id)]
    assert f"{APP}: stays at {first}, pinned by alice" in messages


async def eventually_available(kas: Kas, commit: str) -> None:
    async def found() -> bool:
        return any(hold.available == commit for hold in await kas.store.holds.in_force())

    await eventually(found, what="the newest revision is known beside the pin")


async def test_a_pin_outlives_a_reconnect_and_a_change_of_the_ref(kas: Kas) -> None:
    first = kas.repository.head()
    async with kas.played() as agent:
        await has(agent, first)
        await has(agent, kas.push("2"))
        await kas.synced(agent.commit)
        assert (await kas.cli("rollback", APP, "--agent", NAME, "--to", first)).code == 0
        await has(agent, first)
        kas.repository.branch("next")
        on_branch = kas.push("4")
        kas.config.push_files(config_files(NAME, "demo", APP, refs={APP: "branch: next"}))
        kas.watcher.poke("group/config")
        await eventually_available(kas, on_branch)
        assert agent.commit == first
    async with kas.played() as agent:
        await has(agent, first)
        sync = (await kas.cli_json("get", "syncs"))["items"][0]
        assert (sync["commit"], sync["pin"]["commit"], sync["pin"]["available"]) == (first, first, on_branch)
        assert [snapshot.commit for snapshot in agent.received] == [first]


async def test_a_commit_from_before_kas_knew_the_project_is_found_in_the_history_of_its_ref(kas: Kas) -> None:
    first = kas.repository.head()
    second = kas.repository.push_files({"manifests/app.yaml": config_map("app", "2")})
    kas.repository.branch("side")
    aside = kas.repository.push_files({"manifests/app.yaml": config_map("app", "aside")})
    kas.repository.checkout("main")
    async with kas.played() as agent:
        await has(agent, second)
        await kas.synced(second)
        mirror = kas.publisher.mirrors.mirror(APP)
        assert not await mirror.has(first)

        short = await kas.cli("rollback", APP, "--agent", NAME, "--to", first[:8])
        assert short.code == 1
        assert "write all 40 digits" in short.err
        refused = await kas.cli("rollback", APP, "--agent", NAME, "--to", aside)
        assert refused.code == 1
        assert f"commit {aside} is not in the history of default branch of {APP}" in refused.err
        assert (await kas.cli("rollback", APP, "--agent", NAME, "--to", first)).code == 0
        await has(agent, first)
        assert await mirror.last(DEFAULT_BRANCH) == second


async def test_a_commit_that_a_force_push_took_away_is_still_there_to_go_back_to(kas: Kas) -> None:
    first = kas.repository.head()
    async with kas.played() as agent:
        await has(agent, first)
        await kas.synced(first)
        rewritten = kas.repository.rewrite({"manifests/app.yaml": config_map("app", "other")})
        kas.repository.git("push", "--quiet", "origin", "--force", "HEAD:main")
        kas.watcher.poke(APP)
        await has(agent, rewritten)
        await kas.synced(rewritten)
        assert (await kas.cli("rollback", APP, "--agent", NAME, "--to", first)).code == 0
        await has(agent, first)


async def test_a_revision_that_nothing_could_be_applied_from_is_no_place_to_go_back_to(kas: Kas) -> None:
    broken = kas.repository.push_files({"manifests/app.yaml": "kind: [\n"})
    good = kas.repository.push_files({"manifests/app.yaml": config_map("app", "2")})
    async with kas.played() as agent:
        await has(agent, good)
        await kas.synced(good)
        refused = await kas.cli("rollback", APP, "--agent", NAME, "--to", broken)
        assert refused.code == 1
        assert "manifests/app.yaml:" in refused.err
    assert await kas.store.holds.in_force() == ()


async def test_history_has_revisions_with_their_commits_and_what_was_ordered_in_between(kas: Kas) -> None:
    first = kas.repository.head()
    async with kas.played() as agent:
        await has(agent, first)
        await kas.synced(first)
        second = kas.push("2", message="Raise the\n\nvalue \x1b[31m of it")
        await has(agent, second)
        await kas.synced(second)
        await kas.cli("suspend", APP, "--agent", NAME, "--reason", "freeze")
        await kas.cli("resume", APP, "--agent", NAME)
        third = kas.push("3", message="Third \x1b[31mred")
        await has(agent, third)
        await kas.synced(third)

        table = (await kas.cli("history", APP, "--agent", NAME)).out.splitlines()
        assert table[0].split() == ["AGE", "COMMIT", "STATE", "OBJECTS", "AUTHOR", "SUBJECT"]
        assert [line.split()[1] for line in table[1:]] == [third[:8], "-", second[:8], first[:8]]
        assert r"Third \x1b[31mred" in table[1]
        assert "suspended" in table[2]
        assert "freeze; ended by alice at " in table[2]
        assert "Dev" in table[3]
        entries = (await kas.cli_json("history", APP, "--agent", NAME, "-n", "2"))["items"]
        assert [entry["type"] for entry in entries] == ["sync", "suspension"]
        assert entries[0]["sync"]["commit"] == third
        assert entries[0]["commit"]["author"] == "Dev"
