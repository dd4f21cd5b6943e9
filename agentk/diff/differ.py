"""What a revision would change in the cluster: the plan of a sync, carried out as a rehearsal.

Nothing is decided here that a sync would decide otherwise: the same planner, the same rules for conflicts, ignored
fields and recreation. Only the requests differ (``rehearsal``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.filling import UNTRIED
from agentk.apply.model import DryRun, Result
from agentk.apply.rules.prune import ALREADY_GONE
from agentk.diff.rehearsal import Rehearsal
from agentk.reports.convert import diff_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentk.apply.model import Outcome, Plan
    from agentk.diff.fields import FieldChange
    from agentk.gitops.sync import Cluster
    from agentk.kube.client import KubeClient
    from agentlink.refs import ObjectRef
    from agentlink.v1 import agentlink_pb2 as wire


async def diff(
    kube: KubeClient, cluster: Cluster, plan: Plan, running: Callable[[ObjectRef], bytes | None]
) -> list[wire.ObjectDiff]:
    """Return each object of a plan, with what would become of it; nothing is stored.

    Args:
        kube: The connection, as the project itself has it.
        cluster: For its executor.
        plan: What a sync would do.
        running: Tells what the revision that runs says of an object, None where it does not hold it.

    Raises:
        KubeError: The cluster cannot be reached.
    """
    rehearsal = Rehearsal(kube, plan, running)
    told: list[wire.ObjectDiff] = []

    def tell(outcome: Outcome) -> None:
        if outcome.reason == ALREADY_GONE:
            return  # The inventory forgets it; in the cluster nothing changes.
        told.append(_told(outcome, rehearsal.taken(outcome)))

    await cluster.executor.acting_on(rehearsal).run(replace(plan, dry_run=DryRun.SERVER), tell)
    return told


def _told(outcome: Outcome, changed: tuple[FieldChange, ...]) -> wire.ObjectDiff:
    """Leave out what goes without saying: that it is a dry run, and a change of nothing."""
    if outcome.reason == "DryRun":
        outcome = replace(outcome, reason="")
    if outcome.result is Result.CONFIGURED and not changed and (not outcome.message or outcome.reason == UNTRIED):
        outcome = replace(outcome, result=Result.UNCHANGED, reason="", message="")
    return diff_message(outcome, changed)
