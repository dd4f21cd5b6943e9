"""``kas reconcile`` and ``kas confirm-prune``: have an agent do something now."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, cast

import click

from kas.cli.agents import find_agent
from kas.cli.durations import Duration
from kas.cli.following import NOT_IN_TIME, ended_words, follow
from kas.cli.options import NOT_CONNECTED, ORDER_EXIT_CODES, Failure, agent_option, examples, output_option, with_client
from kas.cli.showing import INTERRUPTED, document
from kas.cli.text import inert, parse_time
from kas.cli.views import object_name
from kas.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kas.cli.options import Output
    from kas.client import Client
    from kas.web.operation_payloads import Confirmed, Reconciled, WaitingPrune
    from kas.web.payloads import Sync

_ENDED = frozenset({"waiting", "healthy", "failed", "stalled"})
_SET_CHANGED = "PruneSetChanged"


@click.command(
    "reconcile",
    epilog=examples(
        "kas reconcile --agent my-agent",
        "kas reconcile group/app --agent my-agent --wait",
        "kas reconcile group/app --agent my-agent --wait --timeout 30m",
        exit_codes=f"{ORDER_EXIT_CODES}; with --wait 1 unless all are healthy, 4 the time was over",
    ),
)
@click.argument("projects", metavar="[PROJECT]...", nargs=-1)
@agent_option(required=True)
@click.option("--wait", is_flag=True, help="Return when the syncs have ended.")
@click.option(
    "--timeout", metavar="DURATION", type=Duration(), default=600.0, help="With --wait: at most so long. [default: 10m]"
)
@output_option
@with_client
def reconcile(
    client: Client, projects: tuple[str, ...], *, agent: str, wait: bool, timeout: float, output: Output
) -> None:
    """Sync the newest revision anew, at once, whatever was known of the cluster; all projects unless some are named."""
    found = find_agent(client, agent)
    answer = cast("dict[str, Any]", client.post(f"agents/{found['id']}/reconcile", {"projects": list(projects)}))
    items = cast("list[Reconciled]", answer["items"])
    if output in {"json", "yaml"} and not wait:
        click.echo(document(answer, output), nl=False)
    if not items:
        click.echo(f"agent {inert(agent)} has no manifest projects", err=True)
    for item in items:
        if item["reason"]:
            click.echo(f"error: {inert(item['project'])}: {inert(item['message'] or item['reason'])}", err=True)
        elif output in {"table", "wide"}:
            click.echo(f"project {inert(item['project'])}: sync begun", err=wait)
    begun = {item["project"]: item["at"] for item in items if not item["reason"]}
    healthy = True
    if wait and begun:
        healthy = _wait(client, f"{found['project']}:{found['name']}", begun, timeout, output)
    if any(item["reason"] == "AgentNotConnected" for item in items):
        sys.exit(NOT_CONNECTED)
    if not healthy or len(begun) < len(items):
        sys.exit(1)


def _wait(client: Client, agent: str, begun: Mapping[str, str], timeout: float, output: Output) -> bool:
    """Show each sync when it has ended; tell whether all are healthy."""
    waiting = dict(begun)
    ended: list[Sync] = []
    deadline = time.monotonic() + timeout
    try:
        for sync in follow(client, {"agent": agent}):
            if sync is not None and _has_ended(sync, waiting.get(sync["project"])):
                del waiting[sync["project"]]
                ended.append(sync)
                if output in {"table", "wide"}:
                    click.echo(ended_words(sync))
            if not waiting:
                break
            if time.monotonic() > deadline:
                message = f"not ended within {timeout:.0f} s: {', '.join(waiting)}"
                raise Failure(message, "`kas get syncs` shows what they wait for", NOT_IN_TIME)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if output in {"json", "yaml"}:
        click.echo(document({"items": ended}, output), nl=False)
    return all(sync["state"] == "healthy" for sync in ended)


def _has_ended(sync: Sync, since: str | None) -> bool:
    if since is None or sync["kind"] == "configuration" or sync["state"] not in _ENDED:
        return False
    return parse_time(sync["updated_at"]) > parse_time(since)


@click.command(
    "confirm-prune",
    epilog=examples(
        "kas confirm-prune group/app --agent my-agent",
        "kas confirm-prune group/app --agent my-agent --yes",
        exit_codes=ORDER_EXIT_CODES,
    ),
)
@click.argument("project")
@agent_option(required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
@with_client
def confirm_prune(client: Client, project: str, agent: str, output: Output, *, yes: bool) -> None:
    """Delete the objects that left Git and wait for somebody to say so, after showing exactly these.

    If others wait by then, nothing is deleted and they are shown.
    """
    path = f"agents/{find_agent(client, agent)['id']}"
    waiting = cast("WaitingPrune", client.get(f"{path}/waiting-prune", project=project))
    if not waiting["objects"]:
        click.echo(f"no prune of {inert(project)} waits for a confirmation", err=True)
        return
    _show(waiting)
    count = len(waiting["objects"])
    if not yes:
        if not sys.stdin.isatty():
            raise Failure(f"deleting {count} objects needs a confirmation", "look at them, then add --yes")
        click.confirm(f"Delete these {count} objects from the cluster?", abort=True, err=True)
    try:
        body = {"project": project, "digest": waiting["digest"]}
        answer = cast("Confirmed", client.post(f"{path}/confirm-prune", body))
    except ClientError as error:
        if error.reason == _SET_CHANGED:
            _show(cast("WaitingPrune", client.get(f"{path}/waiting-prune", project=project)))
        raise
    if output in {"json", "yaml"}:
        click.echo(document(answer, output), nl=False)
    else:
        said = f": {answer['message']}" if answer["message"] else ""
        click.echo(inert(f"prune of {answer['objects']} objects of {project} confirmed{said}"))


def _show(waiting: WaitingPrune) -> None:
    """Write what waits to standard error, where the question is asked."""
    objects: Sequence[str] = sorted(object_name(one["object"]) for one in waiting["objects"])
    click.echo(f"{len(objects)} objects of {inert(waiting['project'])} wait to be deleted:", err=True)
    for name in objects:
        click.echo(f"  {inert(name)}", err=True)
