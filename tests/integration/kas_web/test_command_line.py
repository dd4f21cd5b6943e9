"""The command line as a process against a real API: what is on which stream, and the exit code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from agentlink.refs import ObjectRef
from kas.reports.feed import EventAdded, SyncChanged
from kas.store.batches import Batch
from kas.store.records import CONFIGURATION_REF, Counts, EventRecord, ObjectRecord, SyncState
from kas.store.sync_rules import SyncReported
from kas.store.times import utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.kas_web.conftest import Kas

COMMAND = (sys.executable, "-m", "kas")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def _environment(kas: Kas | None, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KAS_")}
    given = {"KAS_ADDRESS": kas.address, "KAS_TOKEN": kas.secret} if kas else {}
    return {**kept, **given, **more}


async def _run(kas: Kas | None, *arguments: str, **environment: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        env=_environment(kas, **environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def _synced(kas: Kas, *, message: str = "") -> int:
    """Put one agent with a token, a healthy-to-be sync of two objects and an event into the store."""
    agent = await kas.store.agents.create("group/config", "my-agent")
    project_id = await kas.store.projects.id_of("group/app")
    noted = await kas.store.syncs.received(
        agent.id, project_id, sync_id="s1", ref="branch main", commit="0123456789abcdef"
    )
    now = utc_now()
    reported = SyncReported(
        sync_id="s1",
        project_id=project_id,
        commit="0123456789abcdef",
        state=SyncState.FAILED,
        reason="ApplyFailed",
        message=message,
        counts=Counts(total=2, created=1, failed=1),
        at=now,
    )
    objects = tuple(
        ObjectRecord(
            agent.id, project_id, ObjectRef("apps", "Deployment", "demo", name), result, "", "", said, "", "s1", now
        )
        for name, result, said in (("web", "created", ""), ("broken", "failed", message))
    )
    event = EventRecord(
        "e1", now, "agentk", "Warning", "ApplyFailed", message, agent.id, project_id, "s1", objects[1].object
    )
    written = await kas.store.batches.write(Batch(agent.id, (reported,), objects, (event,)))
    kas.feed.publish([*map(SyncChanged, (*noted.changed, *written.syncs)), *map(EventAdded, written.events)])
    return agent.id


async def test_an_agent_may_keep_the_id_it_has_in_gitlab(kas: Kas) -> None:
    created = await _run(kas, "agent", "create", "--project", "group/config", "--name", "my-agent", "--id", "1234")
    again = await _run(kas, "agent", "create", "--project", "group/config", "--name", "other", "--id", "1234")

    assert (created.code, created.out) == (0, "agent group/config:my-agent created (id 1234)\n")
    assert again.code == 1
    assert "id 1234 is another agent's" in again.err


async def test_an_agent_is_registered_gets_a_token_and_is_listed(kas: Kas) -> None:
    created = await _run(kas, "agent", "create", "--project", "group/config", "--name", "my-agent")
    token = await _run(kas, "token", "create", "--agent", "my-agent", "--name", "west")
    listed = await _run(kas, "get", "agents")
    tokens = await _run(kas, "token", "list", "--agent", "group/config:my-agent", "-o", "json")

    assert created.code == 0
    assert re.fullmatch(r"agent group/config:my-agent created \(id \d{10,12}\)\n", created.out)
    assert "kas token create" in created.err
    assert token.code == 0
    assert token.out.startswith("glagent-")
    assert token.out.count("\n") == 1
    assert token.out.strip() not in token.err
    assert [line.split() for line in listed.out.splitlines()] == [
        ["NAME", "PROJECT", "STATUS", "CONNECTED", "VERSION", "SYNCS"],
        ["my-agent", "group/config", "never", "connected", "-", "-", "0/0"],
    ]
    assert [item["name"] for item in json.loads(tokens.out)["items"]] == ["west"]


async def test_a_token_is_revoked_and_its_connection_ended(kas: Kas) -> None:
    agent = await kas.store.agents.create("group/config", "my-agent")
    secret = json.loads((await _run(kas, "token", "create", "--agent", "my-agent", "-o", "json")).out)
    kas.connect(agent, secret["id"])

    revoked = await _run(kas, "token", "revoke", str(secret["id"]))
    again = await _run(kas, "token", "revoke", "999")

    assert (revoked.code, revoked.out) == (0, f"token {secret['id']} of agent my-agent revoked\n")
    assert kas.sessions.list() == ()
    assert (again.code, again.out) == (1, "")
    assert "no token 999" in again.err


async def test_syncs_show_what_failed_and_that_the_agent_is_away(kas: Kas) -> None:
    agent_id = await _synced(kas, message="quota exceeded")
    await kas.store.syncs.failed(
        agent_id,
        await kas.store.projects.id_of("group/config"),
        sync_id="f1",
        ref=CONFIGURATION_REF,
        commit="",
        reason="InvalidConfig",
        message="config.yaml:3: expected a list",
    )

    table = await _run(kas, "get", "syncs", "--no-headers")
    as_yaml = await _run(kas, "get", "syncs", "-o", "yaml", "--state", "failed", "--project", "group/app")

    by_project = {line.split()[1]: line for line in table.out.splitlines()}
    assert "01234567" in by_project["group/app"]
    assert "2 (1 created, 1 failed)" in by_project["group/app"]
    assert "quota exceeded; agent not connected since" in by_project["group/app"]
    assert "configuration" in by_project["group/config"]
    assert "config.yaml:3: expected a list" in by_project["group/config"]
    assert [item["reason"] for item in yaml.safe_load(as_yaml.out)["items"]] == ["ApplyFailed"]


async def test_the_tree_shows_objects_below_their_project_namespace_and_kind(kas: Kas) -> None:
    await _synced(kas, message="quota exceeded")

    tree = await _run(kas, "tree", "--agent", "my-agent", "--project", "group/app", PYTHONIOENCODING="utf-8")

    assert tree.code == 0
    titles = [line.lstrip("│├└─ ").split("  ")[0] for line in tree.out.splitlines()]
    assert titles[1:] == [
        "agent group/config:my-agent",
        "project group/app @ 01234567 (branch main)",
        "namespace demo",
        "deployment.apps",
        "broken",
        "web",
    ]
    assert "quota exceeded" in tree.out.splitlines()[-2]


async def test_hostile_texts_do_nothing_to_a_terminal(kas: Kas) -> None:
    await _synced(kas, message="\x1b]0;owned\x07 \u202edesrever\nsecond line \x9b31m")

    for command in (("get", "syncs"), ("tree", "--agent", "my-agent"), ("events",)):
        for output in ("table", "wide", "json", "yaml"):
            ran = await _run(kas, *command, "-o", output, PYTHONIOENCODING="utf-8")
            assert ran.code == 0
            assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(ran.out), (command, output)
    table = await _run(kas, "events", "--no-headers", PYTHONIOENCODING="utf-8")
    assert len(table.out.splitlines()) == 1


async def test_a_watch_prints_the_table_and_then_each_change_until_kas_ends_it(kas: Kas) -> None:
    agent_id = await _synced(kas, message="quota exceeded")
    (admin,) = await kas.store.api_tokens.list()
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("get", "syncs", "--watch"),
        env=_environment(kas),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        first = [await process.stdout.readline() for _ in range(2)]
        noted = await kas.store.syncs.received(
            agent_id, await kas.store.projects.id_of("group/app"), sync_id="s2", ref="branch main", commit="fedcba9876"
        )
        kas.feed.publish(map(SyncChanged, noted.changed))
        changed = await process.stdout.readline()
        await kas.store.api_tokens.revoke(admin.id)
        rest, err = await process.communicate()

    assert first[0].startswith(b"AGENT ")
    assert b"01234567" in first[1]
    assert b"fedcba98" in changed
    assert (process.returncode, rest) == (1, b"")
    assert b"no longer valid" in err


async def test_a_watched_tree_is_written_whole_again_after_a_change(kas: Kas) -> None:
    agent_id = await _synced(kas)
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("tree", "--agent", "my-agent", "--watch", "--no-headers"),
        env=_environment(kas),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        first = [await process.stdout.readline() for _ in range(6)]
        noted = await kas.store.syncs.received(
            agent_id, await kas.store.projects.id_of("group/app"), sync_id="s2", ref="branch main", commit="fedcba9876"
        )
        kas.feed.publish(map(SyncChanged, noted.changed))
        second = [await process.stdout.readline() for _ in range(6)]
        process.terminate()
        await process.wait()

    assert b"01234567" in first[1]
    assert b"fedcba98" in second[1]
    assert second[0] == first[0]


async def test_a_watch_as_json_is_one_document_a_line(kas: Kas) -> None:
    await _synced(kas)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *("events", "--watch", "-o", "json"), env=_environment(kas), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line: Any = json.loads(await process.stdout.readline())
        process.terminate()
        await process.wait()

    assert (line["type"], line["object"]["reason"]) == ("ADDED", "ApplyFailed")


async def test_errors_say_what_to_do_next_and_have_no_traceback(kas: Kas, tmp_path: Path) -> None:
    nothing = tmp_path / "empty"
    cases = [
        (
            await _run(None, "get", "agents", KAS_ADDRESS="http://127.0.0.1:9", KAS_TOKEN="x"),
            1,
            "is `kas serve` running?",
        ),
        (await _run(kas, "get", "agents", KAS_TOKEN="kasapi-wrong"), 1, "environment variable KAS_TOKEN"),
        (await _run(kas, "get", "agents", KAS_TOKEN="", KAS_DATA_DIR=str(nothing)), 1, "no token was given"),
        (await _run(kas, "get", "agents", KAS_TOKEN="", KAS_TOKEN_FILE=str(nothing)), 1, "KAS_TOKEN_FILE"),
        (await _run(kas, "get", "agents", KAS_TOKEN="two\nlines"), 1, "KAS_TOKEN does not hold one API token"),
        (await _run(kas, "get", "agents", KAS_ADDRESS="ftp://user:secret@host"), 1, "is not the address of a kas"),
        (await _run(kas, "get", "agents", KAS_ADDRESS=kas.address.replace("http", "https")), 1, "plain HTTP"),
        (await _run(kas, "get", "syncs", "--agent", "nobody"), 1, "there is no agent nobody"),
        (
            await _run(kas, "agent", "create", "--project", "group/config", "--name", "No"),
            1,
            "cannot be an agent's name",
        ),
        (await _run(kas, "agent", "delete", "nobody"), 1, "there is no agent nobody"),
        (await _run(kas, "get", "pods"), 2, "No such command"),
        (await _run(kas, "tree"), 2, "--agent"),
        (await _run(kas, "get", "syncs", "--state", "well"), 2, "--state"),
        (await _run(None, "serve", "--config", str(nothing)), 1, "cannot be read"),
    ]

    for ran, code, words in cases:
        assert (ran.code, ran.out) == (code, ""), ran
        assert words in ran.err
        assert "Traceback" not in ran.err
        assert kas.secret not in ran.err
        assert "user:secret" not in ran.err


async def test_the_token_of_a_local_kas_is_found_by_itself(kas: Kas, tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text(f"{kas.secret}\n", encoding="utf-8")

    ran = await _run(kas, "get", "agents", KAS_TOKEN="", KAS_DATA_DIR=str(tmp_path))

    assert (ran.code, ran.out) == (0, "")
    assert "No agents found" in ran.err


async def test_deleting_needs_a_yes(kas: Kas) -> None:
    await kas.store.agents.create("group/config", "my-agent")

    ran = await _run(kas, "agent", "delete", "my-agent")

    assert (ran.code, ran.out) == (1, "")
    assert "--yes" in ran.err
    assert len(await kas.store.agents.list()) == 1
