"""What a person sees of each value of the API: rows of cells, decided here, written by ``kas.cli.render``.

Pure: ``now`` is a parameter, nothing is printed, nothing is asked. Texts are not yet inert; the renderer sees to that
for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from kas.cli.text import age, parse_time, span
from kas.cli.views_orders import COMMIT_DIGITS, pinned_words, suspended_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from kas.web.payloads import Agent, AgentRef, Counts, Event, Object, ProjectTree, Ref, Sync, Token, Tree


class Tone(Enum):
    """How a cell is meant; a terminal shows it as a colour."""

    PLAIN = "plain"
    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"
    FAINT = "faint"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """Column names and, for each row, as many cells. ``wide`` names the columns that only ``-o wide`` shows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    wide: frozenset[str] = frozenset()


_AGENT_TONES = {
    "connected": Tone.GOOD,
    "disconnected": Tone.BAD,
    "token revoked": Tone.BAD,
    "never connected": Tone.FAINT,
}
_SYNC_TONES = {
    "received": Tone.BUSY,
    "applying": Tone.BUSY,
    "applied": Tone.BUSY,
    "waiting": Tone.BUSY,
    "healthy": Tone.GOOD,
    "failed": Tone.BAD,
    "stalled": Tone.BAD,
    "superseded": Tone.FAINT,
}
_SUSPENDED = "Suspended"
"""The reason that an agent gives for the state of a suspended project."""

_RESULT_TONES = {"failed": Tone.BAD, "skipped": Tone.BUSY}
_HEALTH_TONES = {
    "current": Tone.GOOD,
    "in_progress": Tone.BUSY,
    "terminating": Tone.BUSY,
    "failed": Tone.BAD,
    "not_found": Tone.BAD,
}


def agents(values: Sequence[Agent], now: datetime) -> Table:
    """One row an agent; with several connections (replicas, a rolling restart) the newest speaks."""
    return Table(
        columns=(
            *("NAME", "PROJECT", "STATUS", "CONNECTED", "VERSION", "SYNCS"),
            *("ID", "AGE", "KUBERNETES", "POD", "TRANSPORT", "CONNECTIONS"),
        ),
        rows=tuple(_agent_row(value, now) for value in values),
        wide=frozenset({"ID", "AGE", "KUBERNETES", "POD", "TRANSPORT", "CONNECTIONS"}),
    )


def _agent_row(value: Agent, now: datetime) -> tuple[Cell, ...]:
    newest = max(value["connections"], key=lambda connection: connection["connected_at"], default=None)
    healthy, total = value["syncs"]["healthy"], value["syncs"]["total"]
    pod = f"{newest['pod_namespace']}/{newest['pod_name']}".strip("/") if newest else ""
    return (
        Cell(value["name"]),
        Cell(value["project"]),
        _agent_status(value),
        Cell(age(newest["connected_at"], now) if newest else "-"),
        Cell((newest["version"] if newest else "") or "-"),
        Cell(f"{healthy}/{total}", Tone.GOOD if total and healthy == total else Tone.PLAIN),
        Cell(str(value["id"])),
        Cell(age(value["created_at"], now)),
        Cell((newest["kubernetes_version"] if newest else "") or "-"),
        Cell(pod or "-"),
        Cell((newest["transport"] if newest else "") or "-"),
        Cell(str(len(value["connections"]))),
    )


def _agent_status(value: Agent) -> Cell:
    if value.get("suspension"):
        return Cell(f"{value['status']},suspended", Tone.BUSY)
    return Cell(value["status"], _AGENT_TONES.get(value["status"], Tone.PLAIN))


def tokens(values: Sequence[Token], now: datetime) -> Table:
    """One row a token."""
    return Table(
        columns=("ID", "NAME", "AGENT", "STATUS", "CREATED", "LAST USED", "DESCRIPTION"),
        rows=tuple(
            (
                Cell(str(value["id"])),
                Cell(value["name"] or "-"),
                Cell(value["agent"]),
                Cell("active", Tone.GOOD) if value["revoked_at"] is None else Cell("revoked", Tone.FAINT),
                Cell(age(value["created_at"], now)),
                Cell(age(value["last_used_at"], now) if value["last_used_at"] else "never"),
                Cell(value["description"]),
            )
            for value in values
        ),
        wide=frozenset({"DESCRIPTION"}),
    )


def syncs(values: Sequence[Sync], now: datetime) -> Table:
    """One row a sync."""
    return Table(
        columns=(
            *("AGENT", "PROJECT", "REF", "COMMIT", "STATE", "OBJECTS", "AGE"),
            *("REASON", "RECEIVED", "TO-APPLIED", "TO-END", "AGENT-PROJECT", "SYNC-ID", "MESSAGE"),
        ),
        rows=tuple(_sync_row(value, now) for value in values),
        wide=frozenset({"REASON", "RECEIVED", "TO-APPLIED", "TO-END", "AGENT-PROJECT", "SYNC-ID"}),
    )


def _sync_row(value: Sync, now: datetime) -> tuple[Cell, ...]:
    return (
        Cell(value["agent"]["name"]),
        Cell(value["project"]),
        Cell(value["ref"] or "-"),
        Cell(value["commit"][:COMMIT_DIGITS] or "-"),
        sync_state(value),
        Cell(objects_summary(value["counts"]) if value["kind"] == "revision" else "-"),
        Cell(age(value["received_at"], now)),
        Cell(value["reason"] or "-"),
        Cell(value["received_at"]),
        Cell(sync_took(value["received_at"], value["applied_at"])),
        Cell(sync_took(value["received_at"], value["finished_at"])),
        Cell(value["agent"]["project"]),
        Cell(value["id"]),
        Cell(sync_message(value, now)),
    )


def sync_state(value: Sync, *, past: bool = False) -> Cell:
    """Return the state, and what holds beside it, as kubectl has ``Ready,SchedulingDisabled``.

    Of one that is ``past``, what its agent said then of a suspension holds no more.
    """
    words = [value["state"]]
    # What config.yaml suspends is no order of anybody; the agent says so.
    said = value["reason"] == _SUSPENDED and value["state"] != "superseded" and not past
    words += ["suspended"] if value.get("suspension") or said else []
    words += ["pinned"] if value.get("pin") else []
    return Cell(",".join(words), _SYNC_TONES.get(value["state"], Tone.PLAIN) if len(words) == 1 else Tone.BUSY)


def sync_took(start: str, end: str | None) -> str:
    """Write how long something took; ``-`` for what has not ended."""
    if end is None:
        return "-"
    duration = parse_time(end) - parse_time(start)
    milliseconds = max(0, round(duration.total_seconds() * 1000))
    return f"{milliseconds}ms" if milliseconds < 10_000 else span(duration)  # noqa: PLR2004 -- below 10 s ms tell more


def objects_summary(counts: Counts) -> str:
    """Write how many objects a sync has, and in brackets those it did something to: ``2000 (1 configured)``."""
    done: Mapping[str, int] = {
        "created": counts["created"],
        "configured": counts["configured"],
        "pruned": counts["pruned"],
        "skipped": counts["skipped"],
        "failed": counts["failed"],
    }
    what = ", ".join(f"{count} {word}" for word, count in done.items() if count)
    return f"{counts['total']} ({what})" if what else str(counts["total"])


def sync_message(value: Sync, now: datetime) -> str:
    """Return what holds, the sync's own message, and what keeps it from going on: an agent that is not there."""
    own = value["message"] or value["reason"]
    return "; ".join(part for part in (*_held_words(value), own, away(value["agent"], now)) if part)


def _held_words(value: Sync) -> list[str]:
    """Say what holds for the sync's project; a kas before this one does not tell."""
    # An agent that knows of its suspension says it in its own message.
    told = value["reason"] == _SUSPENDED
    words = [suspended_words(held)] if (held := value.get("suspension")) and not told else []
    return words + ([pinned_words(held)] if (held := value.get("pin")) else [])


def away(agent: AgentRef, now: datetime) -> str:
    """Say that an agent is not connected, and since when; empty for one that is."""
    match agent["status"]:
        case "connected":
            return ""
        case "token revoked":
            return "agent cannot connect: every token of it is revoked"
        case "never connected":
            return "agent has never connected"
        case _:
            since = agent["last_seen_at"]
            return f"agent not connected since {since} ({age(since, now)})" if since else "agent not connected"


def events(values: Sequence[Event], now: datetime) -> Table:
    """One row an event, in the order given."""
    return Table(
        columns=("AGE", "TYPE", "REASON", "AGENT", "PROJECT", "OBJECT", "TIME", "SOURCE", "SYNC-ID", "MESSAGE"),
        rows=tuple(
            (
                Cell(age(value["at"], now)),
                Cell(value["type"], Tone.BAD if value["type"] == "Warning" else Tone.PLAIN),
                Cell(value["reason"]),
                Cell(value["agent"] or "-"),
                Cell(value["project"] or "-"),
                Cell(object_name(value["object"]) if value["object"] else "-"),
                Cell(value["at"]),
                Cell(value["source"]),
                Cell(value["sync_id"] or "-"),
                Cell(value["message"]),
            )
            for value in values
        ),
        wide=frozenset({"TIME", "SOURCE", "SYNC-ID"}),
    )


def kind_name(ref: Ref) -> str:
    """Write a kind as kubectl does: ``deployment.apps``, ``service``."""
    return f"{ref['kind']}.{ref['group']}".lower() if ref["group"] else ref["kind"].lower()


def object_name(ref: Ref) -> str:
    """Write an object as the rest of the system does: ``demo/deployment.apps/nginx``."""
    name = f"{kind_name(ref)}/{ref['name']}"
    return f"{ref['namespace']}/{name}" if ref["namespace"] else name


@dataclass(frozen=True, slots=True)
class Node:
    """One line of a tree: a title, cells beside it, and the lines below it."""

    title: Cell
    cells: tuple[Cell, ...] = ()
    children: tuple[Node, ...] = ()


TREE_COLUMNS = ("NAME", "RESULT", "HEALTH", "MESSAGE")


def tree(value: Tree, now: datetime) -> Node:
    """Agent, projects, namespaces, kinds, objects; each level sorted, cluster-scoped objects first."""
    agent = value["agent"]
    title = Cell(f"agent {agent['project']}:{agent['name']}")
    suspended = suspended_words(held) if (held := agent.get("suspension")) else ""
    message = "; ".join(part for part in (suspended, away(agent, now)) if part)
    return Node(
        title,
        (_agent_status(agent), Cell(""), Cell(message)),
        tuple(_project_node(project, now) for project in value["projects"]),
    )


def _project_node(project: ProjectTree, now: datetime) -> Node:
    sync = project["sync"]
    children = tuple(_namespace_nodes(project["objects"]))
    if sync is None:
        return Node(Cell(f"project {project['project']}"), (), children)
    if sync["kind"] == "configuration":
        title = f"configuration in {project['project']}"
    else:
        commit = sync["commit"][:COMMIT_DIGITS] or "no commit"
        title = f"project {project['project']} @ {commit} ({sync['ref']})"
    message = "; ".join([*_held_words(sync), *([sync["message"]] if sync["message"] else [])])
    return Node(Cell(title), (sync_state(sync), Cell(age(sync["received_at"], now)), Cell(message)), children)


def _namespace_nodes(objects: Sequence[Object]) -> Iterator[Node]:
    grouped: dict[str, dict[str, list[Object]]] = {}
    for value in objects:
        ref = value["object"]
        grouped.setdefault(ref["namespace"], {}).setdefault(kind_name(ref), []).append(value)
    for namespace, kinds in sorted(grouped.items()):
        title = f"namespace {namespace}" if namespace else "cluster-scoped"
        nodes = tuple(
            Node(Cell(kind), (), tuple(map(_object_node, sorted(members, key=lambda value: value["object"]["name"]))))
            for kind, members in sorted(kinds.items())
        )
        yield Node(Cell(title), (), nodes)


def _object_node(value: Object) -> Node:
    return Node(
        Cell(value["object"]["name"]),
        (
            Cell(value["result"] or "-", _RESULT_TONES.get(value["result"], Tone.PLAIN)),
            Cell(value["health"].replace("_", " ") or "-", _HEALTH_TONES.get(value["health"], Tone.PLAIN)),
            Cell(value["message"] or value["reason"]),
        ),
    )
