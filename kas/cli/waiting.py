"""``kas wait``: until a commit runs in the clusters, for pipelines that go on, or fail, with what became of it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, cast

import click

from kas.cli.agents import find_agent
from kas.cli.commits import Commit
from kas.cli.durations import Duration
from kas.cli.following import NOT_IN_TIME, ended_words, follow
from kas.cli.options import NOT_CONNECTED, Failure, agent_option, examples, output_option, with_client
from kas.cli.showing import INTERRUPTED, document
from kas.cli.text import inert
from kas.cli.views import sync_message
from kas.cli.views_orders import COMMIT_DIGITS
from kas.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kas.cli.options import Output
    from kas.client import Client
    from kas.web.operation_payloads import Overtaken
    from kas.web.payloads import AgentRef, Sync

Goal = Literal["applied", "healthy"]
WaitingPrune = Literal["fail", "wait", "ignore"]

_REACHED: Final[dict[Goal, frozenset[str]]] = {
    "healthy": frozenset({"healthy"}),
    # One that does not become healthy in time has been applied all the same.
    "applied": frozenset({"applied", "healthy", "stalled"}),
}
_UNDER_WAY: Final = frozenset({"received", "applying", "applied"})
_WAITING: Final = "waiting"
_PRUNE_WAITS: Final = "PruneNeedsConfirmation"
_LINES_AN_AGENT: Final = 20
"""How many of each agent's newest syncs of the project are looked at; the one waited for is among the newest few."""


class Overtaking(TypedDict):
    """An agent was never sent the commit, because a newer one that contains it was there first."""

    agent: AgentRef
    commit: str
    by: str


class Waiting:
    """What has become of a commit at each agent. Pure.

    Args:
        agents: those that are waited for.
        commit: its id, or the first digits.
        goal: the state that is waited for.
        prune: what it means that all but a prune is done, which somebody has to confirm.
    """

    def __init__(self, agents: Iterable[AgentRef], commit: str, goal: Goal, prune: WaitingPrune = "fail") -> None:
        self.left = {agent["id"]: agent for agent in agents}
        self.ended: list[Sync] = []
        self.goal: Goal = goal
        self._reached = _REACHED[goal] | ({_WAITING} if prune == "ignore" else set())
        self._under_way = _UNDER_WAY | ({_WAITING} if prune == "wait" else set())
        self.commit = commit
        self.overtaken: list[Overtaking] = []
        self._newest: dict[int, Sync] = {}
        self._others: dict[int, Sync] = {}
        self._asked: dict[int, str] = {}
        self._has_begun = False

    def see(self, sync: Sync | None) -> list[Sync]:
        """Take in a sync as it is now, or None for a pause; return those with which the wait for their agent has ended.

        What is no success counts at a pause only. A commit may have come before, been gone back to, or be synced anew
        with other settings: then there are several syncs of it, told one after the other, and the newest counts.
        """
        if sync is None:
            self._has_begun = True
            going = self._under_way - self._reached
            return [found for found in tuple(self._newest.values()) if self._ends(found, going)]
        agent_id = sync["agent"]["id"]
        if agent_id not in self.left or sync["kind"] == "configuration":
            return []
        if not sync["commit"].startswith(self.commit):
            if (other := self._others.get(agent_id)) is None or sync["received_at"] >= other["received_at"]:
                self._others[agent_id] = sync
            return []
        if (known := self._newest.get(agent_id)) is None or sync["received_at"] >= known["received_at"]:
            self._newest[agent_id] = sync
            if self._has_begun and self._state(sync) in self._reached and self._ends(sync, frozenset()):
                return [sync]
        return []

    def unexplained(self) -> list[tuple[int, str]]:
        """Return agents that have nothing of the commit, with what they have instead, unless that was explained."""
        without = [(agent_id, self._others[agent_id]["commit"]) for agent_id in self.left.keys() & self._others.keys()]
        return [one for one in without if one[0] not in self._newest and self._asked.get(one[0]) != one[1]]

    def explain(self, agent_id: int, instead: str, by: str) -> None:
        """Take in whether what an agent has instead took the commit's place: ``by`` then, otherwise empty."""
        self._asked[agent_id] = instead
        if by:
            agent = self.left.pop(agent_id)
            self.overtaken.append({"agent": agent, "commit": self.commit, "by": by})

    @property
    def succeeded(self) -> bool:
        """Whether every agent has reached the goal."""
        return not self.left and not self.overtaken and all(self._state(sync) in self._reached for sync in self.ended)

    def _state(self, sync: Sync) -> str:
        """Return the state; what is applied but for a prune is not applied yet."""
        waits = self.goal == "applied" and sync["state"] == "applied" and sync["reason"] == _PRUNE_WAITS
        return _WAITING if waits else sync["state"]

    def _ends(self, sync: Sync, under_way: frozenset[str]) -> bool:
        if sync["agent"]["id"] not in self.left or self._state(sync) in under_way:
            return False
        del self.left[sync["agent"]["id"]]
        self.ended.append(sync)
        return True


@click.command(
    "wait",
    epilog=examples(
        "kas wait group/app --commit 844d9047 --agent my-agent",
        "kas wait group/app --commit 844d9047 --for applied --timeout 30m",
        "kas wait group/app --commit 844d9047 --waiting-prune ignore",
        "kas wait     # in a job of GitLab CI: the pipeline's project and commit, on all agents that sync it",
        exit_codes="0 it runs, 1 it does not, 2 wrong usage; its time is over: 3 an agent is not connected, 4 all are",
    ),
)
@click.argument("project", envvar="CI_PROJECT_PATH")
@click.option(
    "--commit",
    metavar="COMMIT",
    required=True,
    envvar="CI_COMMIT_SHA",
    type=Commit(least=7),
    help="The commit to wait for; its first 7 digits or more do. [CI_COMMIT_SHA]",
)
@agent_option(required=False)
@click.option(
    "--for",
    "goal",
    type=click.Choice(["healthy", "applied"]),
    default="healthy",
    show_default=True,
    help="What to wait for: that all is applied, or that all is healthy besides.",
)
@click.option(
    "--waiting-prune",
    "prune",
    type=click.Choice(["fail", "wait", "ignore"]),
    default="fail",
    show_default=True,
    help="What to do when all is done but a prune that waits for `kas confirm-prune`.",
)
@click.option("--timeout", metavar="DURATION", type=Duration(), default=600.0, help="At most so long. [default: 10m]")
@output_option
@with_client
def wait(
    client: Client,
    project: str,
    *,
    commit: str,
    agent: str | None,
    goal: Goal,
    prune: WaitingPrune,
    timeout: float,
    output: Output,
) -> None:
    """Wait until a commit of a manifest project runs, on one agent or on all that sync the project.

    PROJECT is GitLab's CI_PROJECT_PATH where it is not given. Ends, without success, as soon as the commit cannot be
    used, fails, stalls, has a prune wait for a confirmation, or is superseded by a newer one, also by one that was
    pushed before the commit could be sent.
    """
    deadline = time.monotonic() + timeout
    agents = [find_agent(client, agent)] if agent else _agents_of(client, project)
    waiting = Waiting(agents, commit, goal, prune)
    named = None if agent is None else f"{agents[0]['project']}:{agents[0]['name']}"
    query = {"project": project, "agent": named, "all": 1, "limit": _LINES_AN_AGENT * len(agents)}
    try:
        for sync in follow(client, query):
            ended = waiting.see(sync)
            if output in {"table", "wide"}:
                _tell(ended)
            if sync is None:
                _explain(client, project, waiting)
            if not waiting.left or time.monotonic() > deadline:
                break
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if output in {"json", "yaml"}:
        click.echo(document({"items": waiting.ended, "overtaken": waiting.overtaken}, output), nl=False)
    else:
        for one in waiting.overtaken:
            click.echo(_overtaken_words(project, one))
    if waiting.left:
        raise _not_in_time(client, project, waiting, timeout)
    if not waiting.succeeded:
        sys.exit(1)


def _tell(syncs: Iterable[Sync]) -> None:
    for sync in syncs:
        click.echo(f"agent {inert(sync['agent']['name'])}: {ended_words(sync)}")


def _explain(client: Client, project: str, waiting: Waiting) -> None:
    """Find out whether what agents have instead of the commit has taken its place."""
    for agent_id, instead in waiting.unexplained():
        try:
            told = cast("Overtaken", client.get(f"agents/{agent_id}/overtaken", project=project, commit=waiting.commit))
        except ClientError:  # an older kas does not know; one that restarts is asked again
            continue
        waiting.explain(agent_id, instead, told["by"])


def _overtaken_words(project: str, one: Overtaking) -> str:
    commit, by = one["commit"][:COMMIT_DIGITS], one["by"][:COMMIT_DIGITS]
    name = one["agent"]["name"]
    return inert(f"agent {name}: project {project} @ {commit} superseded: {by}, pushed after it, was there first")


def _agents_of(client: Client, project: str) -> list[AgentRef]:
    """Return the agents that sync a project.

    Raises:
        Failure: none does.
    """
    lines = _newest(client, project)
    agents = {sync["agent"]["id"]: sync["agent"] for sync in lines if sync["reason"] != "Orphaned"}
    if not agents:
        raise Failure(
            f"no agent syncs {project}",
            "`kas get syncs` shows what is synced; --agent names one that is to begin with it",
        )
    return list(agents.values())


def _newest(client: Client, project: str) -> Sequence[Sync]:
    answer = cast("dict[str, Any]", client.get("syncs", project=project))
    return [sync for sync in answer["items"] if sync["kind"] != "configuration"]


def _not_in_time(client: Client, project: str, waiting: Waiting, timeout: float) -> Failure:
    """Say of each agent that is left what it has instead, and why."""
    newest = {sync["agent"]["id"]: sync for sync in _newest(client, project)}
    lines, away = [f"not {waiting.goal} within {timeout:.0f} s:"], False
    for agent_id, agent in waiting.left.items():
        sync = newest.get(agent_id)
        there = sync["agent"] if sync is not None else agent
        away = away or there["status"] != "connected"
        if sync is None:
            has = f"has nothing of {project} yet, and is {there['status']}"
        else:
            said = sync_message(sync, client.now())
            has = f"has {sync['commit'][:COMMIT_DIGITS] or 'no commit'} {sync['state']}" + (f": {said}" if said else "")
        lines.append(f"agent {agent['name']} {has}")
    hint = "`kas history` shows what there was instead; --timeout gives it longer"
    return Failure("\n".join(lines), hint, NOT_CONNECTED if away else NOT_IN_TIME)
