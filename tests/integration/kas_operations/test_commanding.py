"""Reconciling, confirming a prune and comparing, with an agent that a test plays, also a hostile one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from agentlink.refs import ObjectRef, digest_of
from agentlink.v1 import agentlink_pb2 as wire
from kas.store.batches import Batch
from kas.store.records import Counts, ObjectRecord, SyncState
from kas.store.sync_rules import SyncReported
from kas.store.times import utc_now
from tests.integration.kas_operations.conftest import APP, CONFIG, NAME
from tests.support.manifests import config_files, config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.kas_operations.conftest import Answer, Kas, Played

OLD = ObjectRef("", "ConfigMap", "demo", "old")
GONE = ObjectRef("apps", "Deployment", "demo", "gone")


async def ready(kas: Kas, agent: Played) -> None:
    await eventually(lambda: bool(agent.received), what="the first revision")
    await kas.synced(agent.commit)


async def waits(kas: Kas, *refs: ObjectRef) -> None:
    """Report objects whose prune waits."""
    now = utc_now()
    project_id = await kas.store.projects.id_of(APP)
    records = tuple(
        ObjectRecord(kas.agent.id, project_id, ref, "skipped", "", "PruneNeedsConfirmation", "waits", "", "s", now)
        for ref in refs
    )
    await kas.store.batches.write(Batch(kas.agent.id, (), records, ()))


def refuse(reason: str, message: str) -> Answer:
    return [wire.AnswerRequest(done=True, reason=reason, message=message)]


async def test_reconcile_reaches_the_agent_and_waits_for_the_end(kas: Kas) -> None:
    async with kas.played() as agent:
        await ready(kas, agent)
        begun = await kas.cli("reconcile", APP, "--agent", NAME)
        assert (begun.code, begun.out) == (0, f"project {APP}: sync begun\n")
        (command,) = agent.commands
        assert command.WhichOneof("command") == "reconcile"
        assert command.project_id == await kas.store.projects.id_of(APP)
        assert 15 <= command.timeout.seconds <= 20
        everything = await kas.cli_json("reconcile", "--agent", NAME)
        assert [(item["project"], item["reason"]) for item in everything["items"]] == [(APP, "")]
    (line, _) = await kas.store.audit.list()
    assert (line.action, line.actor.name) == ("project.reconcile", "alice")


@pytest.mark.parametrize(("state", "code"), [(SyncState.HEALTHY, 0), (SyncState.FAILED, 1)])
async def test_wait_ends_with_the_sync_that_was_asked_for(kas: Kas, state: SyncState, code: int) -> None:
    async with kas.played() as agent:
        await ready(kas, agent)
        sync = await kas.synced(agent.commit)

        def reported() -> SyncReported:
            counts = Counts(total=1, unchanged=1)
            return SyncReported(sync.id, sync.project_id, sync.commit, state, "", "as it is", counts, utc_now())

        await kas.store.batches.write(Batch(kas.agent.id, (reported(),), (), ()))
        ended = await run_and_report(kas, agent, reported)
        assert ended == (code, f"project {APP} @ {sync.commit[:8]} {state}, 1: as it is\n")


async def run_and_report(kas: Kas, agent: Played, reported: Callable[[], SyncReported]) -> tuple[int, str]:
    """Run the command; when the agent has the order, report the sync's end."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(kas.cli("reconcile", APP, "--agent", NAME, "--wait"))
        await eventually(lambda: bool(agent.commands), what="the order")
        await kas.store.batches.write(Batch(kas.agent.id, (reported(),), (), ()))
    return running.result().code, running.result().out


async def test_an_agent_that_is_away_has_an_exit_code_of_its_own(kas: Kas) -> None:
    async with kas.played() as agent:
        await ready(kas, agent)
    await waits(kas, OLD)
    for command in (("reconcile", APP), ("confirm-prune", APP, "--yes"), ("diff", APP)):
        ran = await kas.cli(*command, "--agent", NAME)
        assert (ran.code, "the agent is not connected to kas now" in ran.err) == (3, True), (command, ran)


async def test_what_an_agent_refuses_is_shown_inert(kas: Kas) -> None:
    async with kas.played(lambda _: refuse("Suspended", "suspended by \x1b[31mbob")) as agent:
        await ready(kas, agent)
        ran = await kas.cli("reconcile", APP, "--agent", NAME)
        assert ran.code == 1
        assert r"error: group/app: suspended by \x1b[31mbob" in ran.err


async def test_a_standby_does_not_answer_for_the_leader(kas: Kas) -> None:
    async with (
        kas.played(lambda _: refuse("NotLeader", "")) as standby,
        kas.played(instance="two") as leader,
    ):
        await ready(kas, leader)
        ran = await kas.cli("reconcile", APP, "--agent", NAME)
        assert ran.code == 0, ran.err
        assert len(standby.commands) == len(leader.commands) == 1
    async with kas.played(lambda _: refuse("NotLeader", "")):
        ran = await kas.cli("reconcile", APP, "--agent", NAME)
        assert (ran.code, "no replica of the agent leads now" in ran.err) == (1, True)


async def test_a_prune_is_confirmed_for_exactly_the_objects_that_were_shown(kas: Kas) -> None:
    async with kas.played() as agent:
        await ready(kas, agent)
        nothing = await kas.cli("confirm-prune", APP, "--agent", NAME, "--yes")
        assert (nothing.code, nothing.err) == (0, f"no prune of {APP} waits for a confirmation\n")
        await waits(kas, OLD, GONE)

        asked = await kas.cli("confirm-prune", APP, "--agent", NAME)
        assert asked.code == 1
        assert "demo/configmap/old" in asked.err
        assert "demo/deployment.apps/gone" in asked.err
        assert "add --yes" in asked.err
        assert agent.commands == []

        done = await kas.cli("confirm-prune", APP, "--agent", NAME, "--yes")
        assert (done.code, done.out) == (0, f"prune of 2 objects of {APP} confirmed\n")
        (command,) = agent.commands
        assert command.confirm_prune.objects_digest == digest_of([GONE, OLD])
        stale = {"project": APP, "digest": digest_of([OLD]).hex()}
        answer = await kas.call("POST", f"agents/{kas.agent.id}/confirm-prune", stale, status=409)
        assert answer["error"]["reason"] == "PruneSetChanged"
        assert len(agent.commands) == 1
    (line,) = await kas.store.audit.list()
    assert line.action == "project.confirm-prune"
    assert line.subject.endswith(": demo/configmap/old, demo/deployment.apps/gone")


async def test_on_a_terminal_somebody_is_asked_and_only_yes_is_yes(kas: Kas) -> None:
    async with kas.played() as agent:
        await ready(kas, agent)
        await waits(kas, OLD)
        for typed in ("n\n", "\n"):
            refused = await kas.cli_on_terminal("confirm-prune", APP, "--agent", NAME, typed=typed)
            assert refused.code == 1
            assert "Delete these 1 objects from the cluster? [y/N]" in refused.out
            assert agent.commands == []
        done = await kas.cli_on_terminal("confirm-prune", APP, "--agent", NAME, typed="y\n")
        assert (done.code, "prune of 1 objects" in done.out) == (0, True)
        assert len(agent.commands) == 1


async def test_when_others_wait_by_then_nothing_is_pruned_and_they_are_shown(kas: Kas) -> None:
    def changed(_: wire.Command) -> Answer:
        ref = wire.ObjectRef(kind="ConfigMap", namespace="demo", name="old")
        still = wire.ObjectDiff(object=ref, result=wire.RESULT_PRUNED)
        return [wire.AnswerRequest(done=True, reason="PruneSetChanged", message="changed", objects=[still])]

    async with kas.played(changed) as agent:
        await ready(kas, agent)
        await waits(kas, OLD, GONE)
        ran = await kas.cli("confirm-prune", APP, "--agent", NAME, "--yes")
        assert ran.code == 1
        before, _, after = ran.err.partition("1 objects of")
        assert "demo/deployment.apps/gone" in before
        assert "demo/deployment.apps/gone" not in after
        assert "nothing was pruned" in after
        answer = await kas.call("GET", f"agents/{kas.agent.id}/waiting-prune?project={APP}")
        assert answer["digest"] == digest_of([OLD]).hex()


def compared(command: wire.Command) -> Answer:
    """Answer a diff in two parts."""
    assert command.WhichOneof("command") == "diff"
    field = wire.FieldDiff
    secret = wire.ObjectRef(kind="Secret", namespace="demo", name="s")
    app = wire.ObjectRef(kind="ConfigMap", namespace="demo", name="app\u202e")
    new = wire.ObjectRef(kind="ConfigMap", namespace="demo", name="app")
    old = wire.ObjectRef(kind="ConfigMap", namespace="demo", name="old")
    told = [
        wire.ObjectDiff(object=app, result=wire.RESULT_CONFIGURED),  # a name that cannot be one: left out
        wire.ObjectDiff(
            object=new,
            result=wire.RESULT_CONFIGURED,
            path="manifests/app.yaml",
            fields=[
                field(path="/data/value", before='"1"', after='"2\\u001b[31m"'),
                field(path="/data/text", before='"a\\nb\\nc"', after='"a\\nB\\u001b[2J\\nc"'),
                field(path="/data/gone", before='"x"', after=""),
            ],
        ),
        wire.ObjectDiff(
            object=secret, result=wire.RESULT_CREATED, fields=[field(path="", after='{"data":{"password":"***"}}')]
        ),
    ]
    return [
        wire.AnswerRequest(objects=told),
        wire.AnswerRequest(
            objects=[wire.ObjectDiff(object=old, result=wire.RESULT_PRUNED)],
            done=True,
            counts=wire.SyncCounts(total=14, created=1, configured=1, pruned=1, unchanged=12),
        ),
    ]


async def test_a_diff_of_any_ref_goes_to_the_agent_as_a_difference_and_comes_back_field_by_field(kas: Kas) -> None:
    kas.repository.branch("feature")
    feature = kas.repository.push_files({"manifests/app.yaml": config_map("app", "feature")})
    kas.repository.tag("v2")
    kas.repository.checkout("main")
    async with kas.played(compared) as agent:
        await ready(kas, agent)
        ran = await kas.cli("diff", APP, "--agent", NAME, "--ref", "feature")
        assert ran.code == 1, ran.err
        assert ran.out.splitlines() == [
            f"project {APP} @ {feature[:8]} (branch feature)",
            "configured demo/configmap/app  manifests/app.yaml",
            "  @ /data/value",
            '  - "1"',
            r'  + "2\u001b[31m"',
            "  @ /data/text",
            "    a",
            "  - b",
            r"  + B\x1b[2J",
            "    c",
            "  @ /data/gone",
            '  - "x"',
            "created demo/secret/s",
            "  + data:",
            "  +   password: '***'",
            "pruned demo/configmap/old",
            "1 created, 1 configured, 1 pruned, 12 unchanged",
        ]
        assert [snapshot.commit for snapshot in agent.accompanied] == [feature]
        assert agent.commit != feature
        headers = [one.snapshot_header for one in agent.messages if one.WhichOneof("message") == "snapshot_header"]
        assert headers[-1].command_id == agent.commands[0].id
        assert headers[-1].base_digest == agent.received[-1].digest
        assert headers[-1].sync_id == ""

        by_tag = await kas.cli("diff", APP, "--agent", NAME, "--ref", "v2", "-o", "json")
        lines = [json.loads(line) for line in by_tag.out.splitlines()]
        assert by_tag.code == 1
        assert [line["type"] for line in lines] == ["PROJECT", "OBJECT", "OBJECT", "OBJECT", "PROJECT_END"]
        assert (lines[0]["object"]["ref"], lines[0]["object"]["commit"]) == ("tag v2", feature)
        by_commit = await kas.cli("diff", APP, "--agent", NAME, "--ref", feature, "-o", "yaml")
        assert by_commit.out.startswith("---\ntype: PROJECT\n")
        assert [snapshot.commit for snapshot in agent.accompanied] == [feature] * 3


async def test_a_terminal_shows_colours_and_that_something_goes_on(kas: Kas) -> None:
    async with kas.played(compared) as agent:
        await ready(kas, agent)
        ran = await kas.cli_on_terminal("diff", APP, "--agent", NAME)
        assert ran.code == 1
        assert f"comparing {APP} with the cluster" in ran.out
        assert '\x1b[32m  + "2' in ran.out
        assert '\x1b[31m  - "1"' in ran.out
        assert "\\u001b[31m" in ran.out


async def test_no_changes_are_exit_code_0_and_objects_that_cannot_be_compared_2(kas: Kas) -> None:
    failing = False

    def answers(_: wire.Command) -> Answer:
        counts = wire.SyncCounts(total=1, failed=1) if failing else wire.SyncCounts(total=1, unchanged=1)
        ref = wire.ObjectRef(kind="ConfigMap", namespace="demo", name="app")
        result = wire.RESULT_FAILED if failing else wire.RESULT_UNCHANGED
        told = wire.ObjectDiff(object=ref, result=result, reason="Forbidden", message="denied by webhook x")
        return [wire.AnswerRequest(done=True, counts=counts, objects=[told])]

    async with kas.played(answers) as agent:
        await ready(kas, agent)
        same = await kas.cli("diff", "--agent", NAME)
        assert (same.code, same.out.splitlines()[1:]) == (0, ["1 unchanged"])
        failing = True
        failed = await kas.cli("diff", "--agent", NAME)
        assert failed.code == 2
        assert "failed demo/configmap/app\n  denied by webhook x\n" in failed.out


async def test_what_cannot_be_compared_says_why_before_the_agent_is_asked(kas: Kas) -> None:
    kas.repository.branch("broken")
    kas.repository.push_files({"manifests/bad.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: [\n"})
    kas.repository.checkout("main")
    async with kas.played(compared) as agent:
        await ready(kas, agent)
        broken = await kas.cli("diff", APP, "--agent", NAME, "--ref", "broken")
        assert broken.code == 2
        assert "manifests/bad.yaml:" in broken.err
        missing = await kas.cli("diff", APP, "--agent", NAME, "--ref", "nowhere")
        assert (missing.code, "no branch or tag 'nowhere'" in missing.err) == (2, True)
        strange = await kas.cli("diff", APP, "--agent", NAME, "--ref", "--upload-pack=x")
        assert strange.code == 2
        other = await kas.cli("diff", "group/other", "--agent", NAME)
        assert (other.code, "no manifest project" in other.err) == (2, True)
        assert agent.commands == []


async def test_a_ref_that_changes_the_configuration_too_is_compared_with_the_one_in_force_and_says_so(
    kas: Kas,
) -> None:
    kas.config.push_files({**config_files(NAME, "demo", CONFIG), "manifests/a.yaml": config_map("a")})
    async with kas.played(compared) as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        kas.config.branch("other")
        kas.config.push_files(config_files(NAME, "elsewhere", CONFIG))
        kas.config.checkout("main")
        ran = await kas.cli("diff", CONFIG, "--agent", NAME, "--ref", "other")
        assert ran.code == 1, ran.err
        assert f"note: .gitlab/agents/{NAME}/config.yaml differs at this revision" in ran.err


async def test_a_hostile_agent_ends_only_its_own_answer(kas: Kas) -> None:
    def endless(command: wire.Command) -> Answer:
        if command.WhichOneof("command") == "reconcile":
            return [wire.AnswerRequest(done=True)]
        big = "x" * (3 * 1024 * 1024)
        ref = wire.ObjectRef(kind="ConfigMap", name="a", namespace="b")
        told = wire.ObjectDiff(object=ref, result=wire.RESULT_CONFIGURED, fields=[wire.FieldDiff(path="/", after=big)])
        return [wire.AnswerRequest(objects=[told]) for _ in range(30)]

    async with kas.played(endless) as agent:
        await ready(kas, agent)
        ran = await kas.cli("diff", APP, "--agent", NAME, "-o", "json")
        assert ran.code == 2
        assert "the agent's answer is larger than 64 MiB" in ran.err
        assert len(ran.out) < 64 * 1024 * 25
        await eventually(lambda: False in agent.delivered, what="the agent is told to stop")
        assert (await kas.cli("reconcile", APP, "--agent", NAME)).code == 0
