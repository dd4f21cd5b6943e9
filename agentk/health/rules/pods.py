"""Pod and Job: does it run, did it end well?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.health.model import Health, current, failed, in_progress
from agentk.health.rules.fields import conditions, number, section, sections, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentk.health.rules.fields import Condition


def pod(obj: Mapping[str, object]) -> Health:
    """A Pod is current when it is ready or has ended well.

    One that cannot be scheduled is on its way, unlike in kstatus, which gives it 15 seconds: a node may be coming, and
    rules have no clock.
    """
    status = section(obj, "status")
    phase = text(status, "phase")
    if phase == "Succeeded":
        return current("has completed")
    if phase == "Failed":
        return failed(f"has failed: {text(status, 'message') or text(status, 'reason') or 'see its containers'}")
    waiting = dict(_waiting(status))
    looping = sorted(name for name, reason in waiting.items() if reason == "CrashLoopBackOff")
    if looping:
        return failed(f"containers crash again and again: {', '.join(looping)}")
    known = conditions(obj)
    ready = known.get("Ready")
    if phase == "Running" and ready and ready.holds:
        return current("is ready")
    return in_progress(_what_it_waits_for(phase, known.get("PodScheduled"), waiting))


def job(obj: Mapping[str, object]) -> Health:
    """A Job is current as soon as it runs, as in kstatus: what it takes until it ends is up to what it does."""
    spec, status, known = section(obj, "spec"), section(obj, "status"), conditions(obj)
    succeeded = number(status, "succeeded")
    completions = number(spec, "completions", number(spec, "parallelism", 1))
    if (one := known.get("Failed") or known.get("FailureTarget")) and one.holds:
        return failed(f"has failed: {one}")
    if (one := known.get("Complete")) and one.holds:
        return current(f"has completed, {succeeded} of {completions} succeeded")
    if (one := known.get("Suspended")) and one.holds:
        return current("is suspended")
    if not text(status, "startTime"):
        return in_progress("has not started")
    return current(f"runs, {succeeded} of {completions} succeeded, {number(status, 'active')} active")


def _what_it_waits_for(phase: str, scheduled: Condition | None, waiting: Mapping[str, str]) -> str:
    if scheduled and scheduled.status == "False":
        return f"is not scheduled: {scheduled}"
    if waiting:
        return "; ".join(f"{name} waits: {reason}" for name, reason in sorted(waiting.items()))
    return "runs, but is not ready" if phase == "Running" else f"is {phase or 'not seen by a node yet'}"


def _waiting(status: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the containers that wait, with the reason, beyond merely starting up."""
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in sections(status, key):
            reason = text(section(container, "state", "waiting"), "reason")
            if reason and reason not in {"ContainerCreating", "PodInitializing"}:
                yield text(container, "name"), reason
