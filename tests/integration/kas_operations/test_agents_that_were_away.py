"""An agent that was away goes straight to the newest revision; and what a revision leaves out is said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kas.store.records import SyncState
from tests.integration.kas_operations.conftest import APP
from tests.support.git_repository import fast_import
from tests.support.manifests import config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.kas_operations.conftest import Kas
    from tests.support.git_server import GitServer


def hundred_commits(bare: Path) -> str:
    """Commit to main a hundred times; return the newest."""
    stream = b""
    for number in range(100):
        data = config_map("app", f"day {number}").encode()
        stream += b"commit refs/heads/main\ncommitter a <a@example.com> 1700000000 +0000\ndata 1\nx\n"
        stream += (b"from refs/heads/main^0\n" if number == 0 else b"") + b"M 100644 inline manifests/app.yaml\n"
        stream += b"data %d\n%b\n" % (len(data), data)
    return fast_import(bare, stream)


async def test_after_a_hundred_commits_only_the_newest_is_sent_and_what_had_not_ended_is_superseded(
    kas: Kas, git_server: GitServer
) -> None:
    async with kas.played() as before:
        await eventually(lambda: before.commit, what="the first revision")
        first = before.commit
        await kas.synced(first)
    newest = hundred_commits(git_server.bare(APP))  # three days without a connection
    kas.watcher.poke(APP)
    async with kas.played() as after:
        await eventually(lambda: after.commit == newest, what="the newest revision")
        # What kas knew when nobody was connected may come first; none of the ninety-nine between.
        assert [snapshot.commit for snapshot in after.received if snapshot.commit != first] == [newest]
        await kas.synced(newest)
        syncs = await kas.store.syncs.list(kas.agent.id, newest_only=False)
        states = {sync.commit: sync.state for sync in syncs if sync.project == APP}
        assert states == {first: SyncState.SUPERSEDED, newest: SyncState.RECEIVED}


async def test_a_submodule_is_left_out_and_that_is_one_event_whatever_follows(kas: Kas) -> None:
    kas.repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},manifests/vendored")
    async with kas.played() as agent:
        await eventually(lambda: agent.commit, what="the first revision")
        commits = []
        for value in ("2", "3"):
            kas.repository.write({"manifests/app.yaml": config_map("app", value)})
            kas.repository.git("add", "manifests/app.yaml")
            kas.repository.git("commit", "--quiet", "--message", value)
            kas.repository.push()
            commits.append(kas.repository.head())
            kas.watcher.poke(APP)
            await eventually(lambda: agent.commit == commits[-1], what="the next revision")
            await kas.synced(commits[-1])
        events = [one for one in await kas.store.events.list(agent_id=kas.agent.id) if one.reason == "SubmoduleLeftOut"]
    (event,) = events
    assert (event.type, "manifests/vendored is a submodule" in event.message) == ("Warning", True)
