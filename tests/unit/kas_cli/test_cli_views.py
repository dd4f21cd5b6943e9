from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kas.cli import views
from kas.cli.render import Screen, TableWriter, tree_lines
from kas.cli.views import Cell, Table, Tone
from kas.web.payloads import Agent, AgentRef, Connection, Counts, Event, Object, ProjectTree, Ref, Sync, Token, Tree

if TYPE_CHECKING:
    from kas.web.payloads import AgentStatus

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
EARLIER = "2026-11-21T11:59:00.000Z"
PLAIN = Screen()


def owner(status: AgentStatus = "connected", seen: str | None = None) -> AgentRef:
    return AgentRef(id=1, name="my-agent", project="group/config", status=status, last_seen_at=seen)


def counts(**given: int) -> Counts:
    zero = Counts(total=0, created=0, configured=0, unchanged=0, pruned=0, skipped=0, failed=0)
    return {**zero, **given}  # type: ignore[typeddict-item]


def sync(**given: object) -> Sync:
    base = Sync(
        id="s1",
        kind="revision",
        agent=owner(),
        project_id=2,
        project="group/app",
        ref="branch main",
        commit="0123456789abcdef",
        state="healthy",
        reason="",
        message="",
        counts=counts(total=2000, configured=1, unchanged=1999),
        received_at=EARLIER,
        applied_at="2026-11-21T11:59:01.250Z",
        finished_at="2026-11-21T11:59:20.000Z",
        updated_at=EARLIER,
        suspension=None,
        pin=None,
    )
    return {**base, **given}  # type: ignore[typeddict-item]


def agent(*connections: Connection, status: AgentStatus = "connected", healthy: int = 1, total: int = 2) -> Agent:
    return Agent(
        id=1,
        name="my-agent",
        project="group/config",
        status=status,
        last_seen_at=None,
        created_at="2026-11-18T12:00:00.000Z",
        suspension=None,
        connections=list(connections),
        syncs={"total": total, "healthy": healthy},
    )


def connection(at: str, version: str) -> Connection:
    return Connection(
        id="c",
        token_id=1,
        connected_at=at,
        transport="websocket",
        version=version,
        commit="",
        pod_namespace="agentk",
        pod_name="agentk-0",
        kubernetes_version="v1.36.3",
        capabilities=[],
    )


def shown(table: Table, *, wide: bool = False, headers: bool = False, screen: Screen = PLAIN) -> list[str]:
    return list(TableWriter(wide=wide, headers=headers, screen=screen).lines(table))


def cells(table: Table, row: int = 0) -> dict[str, str]:
    return {name: cell.text for name, cell in zip(table.columns, table.rows[row], strict=True)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (agent(connection(EARLIER, "0.1.0")), ["connected", "60s", "0.1.0", "1/2"]),
        (
            agent(connection("2026-11-21T10:00:00.000Z", "old"), connection(EARLIER, "new")),
            ["connected", "60s", "new", "1/2"],
        ),
        (agent(connection(EARLIER, "")), ["connected", "60s", "-", "1/2"]),
        (agent(status="disconnected", healthy=2), ["disconnected", "-", "-", "2/2"]),
        (agent(status="never connected", healthy=0, total=0), ["never connected", "-", "-", "0/0"]),
        (agent(status="token revoked"), ["token revoked", "-", "-", "1/2"]),
    ],
)
def test_an_agent_shows_its_status_connection_and_syncs(value: Agent, expected: list[str]) -> None:
    row = cells(views.agents([value], NOW))

    assert [row[name] for name in ("STATUS", "CONNECTED", "VERSION", "SYNCS")] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (counts(), "0"),
        (counts(total=2000, unchanged=2000), "2000"),
        (counts(total=2000, configured=1, unchanged=1999), "2000 (1 configured)"),
        (counts(total=3, created=1, pruned=2, failed=1, skipped=1), "3 (1 created, 2 pruned, 1 skipped, 1 failed)"),
    ],
)
def test_objects_are_summed_up_by_what_was_done(given: Counts, expected: str) -> None:
    assert views.objects_summary(given) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (sync(), ""),
        (sync(message="quota exceeded", reason="ApplyFailed"), "quota exceeded"),
        (sync(reason="ApplyFailed"), "ApplyFailed"),
        (sync(agent=owner("disconnected", EARLIER)), f"agent not connected since {EARLIER} (60s)"),
        (
            sync(message="broken", agent=owner("disconnected", EARLIER)),
            f"broken; agent not connected since {EARLIER} (60s)",
        ),
        (sync(agent=owner("never connected")), "agent has never connected"),
        (sync(agent=owner("token revoked", EARLIER)), "agent cannot connect: every token of it is revoked"),
    ],
)
def test_a_message_says_what_failed_and_what_is_missing(value: Sync, expected: str) -> None:
    assert views.sync_message(value, NOW) == expected


def test_a_sync_is_a_row_and_wide_adds_times_and_ids() -> None:
    row = cells(views.syncs([sync()], NOW))

    assert shown(views.syncs([sync()], NOW), headers=True) == [
        "AGENT      PROJECT     REF           COMMIT     STATE     OBJECTS               AGE   MESSAGE",
        "my-agent   group/app   branch main   01234567   healthy   2000 (1 configured)   60s",
    ]
    assert (row["TO-APPLIED"], row["TO-END"], row["SYNC-ID"]) == ("1250ms", "20s", "s1")


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (sync(kind="configuration", ref="configuration", commit="", state="failed"), "OBJECTS", "-"),
        (sync(kind="refusal", commit=""), "COMMIT", "-"),
        (sync(applied_at=None), "TO-APPLIED", "-"),
    ],
)
def test_what_is_not_there_is_a_dash(value: Sync, column: str, expected: str) -> None:
    assert cells(views.syncs([value], NOW))[column] == expected


def test_a_token_shows_whether_it_opens_anything_and_no_secret() -> None:
    base = Token(
        id=7,
        agent_id=1,
        agent="my-agent",
        name="west",
        description="",
        created_at=EARLIER,
        last_used_at=None,
        revoked_at=None,
    )
    revoked: Token = {**base, "revoked_at": EARLIER, "last_used_at": EARLIER}
    table = views.tokens([base, revoked], NOW)

    assert (cells(table)["STATUS"], cells(table)["LAST USED"]) == ("active", "never")
    assert (cells(table, 1)["STATUS"], cells(table, 1)["LAST USED"]) == ("revoked", "60s")


def test_an_event_names_its_object_as_kubectl_does() -> None:
    event = Event(
        id="e",
        at=EARLIER,
        source="agentk",
        type="Warning",
        reason="ApplyFailed",
        message="no",
        agent="my-agent",
        agent_id=1,
        project=None,
        project_id=None,
        sync_id="",
        object=Ref(group="apps", kind="Deployment", namespace="demo", name="web"),
    )

    row = cells(views.events([event], NOW))

    assert (row["OBJECT"], row["PROJECT"], row["AGE"]) == ("demo/deployment.apps/web", "-", "60s")


def an_object(kind: str, namespace: str, name: str, **more: str) -> Object:
    group = "apps" if kind == "Deployment" else ""
    base = Object(
        object=Ref(group=group, kind=kind, namespace=namespace, name=name),
        result="unchanged",
        health="current",
        reason="",
        message="",
        path="",
        sync_id="s1",
        updated_at=EARLIER,
    )
    return {**base, **more}  # type: ignore[typeddict-item]


def test_a_tree_groups_objects_by_namespace_and_kind() -> None:
    objects = [
        an_object("Deployment", "demo", "web", result="configured", health="in_progress", message="1 of 2 ready"),
        an_object("Service", "demo", "web"),
        an_object("Namespace", "", "demo"),
        an_object("Deployment", "demo", "api"),
    ]
    value = Tree(
        agent=agent(connection(EARLIER, "0.1.0")),
        projects=[ProjectTree(project_id=2, project="group/app", sync=sync(), objects=objects)],
        next=None,
    )

    lines = list(tree_lines(views.tree(value, NOW), headers=True, screen=PLAIN))

    assert lines == [
        "NAME                                            RESULT       HEALTH        MESSAGE",
        "agent group/config:my-agent                     connected",
        "└─ project group/app @ 01234567 (branch main)   healthy      60s",
        "   ├─ cluster-scoped",
        "   │  └─ namespace",
        "   │     └─ demo                                unchanged    current",
        "   └─ namespace demo",
        "      ├─ deployment.apps",
        "      │  ├─ api                                 unchanged    current",
        "      │  └─ web                                 configured   in progress   1 of 2 ready",
        "      └─ service",
        "         └─ web                                 unchanged    current",
    ]


def test_a_tree_of_an_agent_without_projects_is_one_line() -> None:
    value = Tree(agent=agent(status="never connected"), projects=[], next=None)

    (line,) = tree_lines(views.tree(value, NOW), headers=False, screen=Screen(lines_drawn=False))

    assert line == "agent group/config:my-agent   never connected            agent has never connected"


TABLE = Table(("A", "B", "C"), ((Cell("日本", Tone.GOOD), Cell("b"), Cell("x" * 40)),), frozenset({"B"}))


def test_columns_stand_below_each_other_whatever_the_letters() -> None:
    assert shown(TABLE, headers=True) == ["A      C", "日本   " + "x" * 40]
    assert shown(TABLE, wide=True) == ["日本   b   " + "x" * 40]


def test_a_terminal_gets_colours_and_lines_that_fit_and_a_pipe_neither() -> None:
    (on_terminal,) = shown(TABLE, screen=Screen(colours=True, columns=30))
    (in_pipe,) = shown(TABLE)

    assert on_terminal == "\x1b[32m日本\x1b[0m   " + "x" * 22 + "…"
    assert "\x1b" not in in_pipe


def test_control_characters_in_a_cell_are_written_out() -> None:
    assert shown(Table(("A",), ((Cell("\x1b[2J\nx"),),))) == ["\\x1b[2J x"]


def test_rows_that_come_later_keep_the_columns_and_the_header_comes_once() -> None:
    writer = TableWriter(wide=False, headers=True, screen=PLAIN)
    first = Table(("A", "B"), ((Cell("long name"), Cell("1")),))
    later = Table(("A", "B"), ((Cell("x"), Cell("2")),))

    assert [*writer.lines(first), *writer.lines(later)] == ["A           B", "long name   1", "x           2"]
