"""Wires agentk together. The only place that knows every room; each part starts after what it stands on."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentk.gitops.controller import Controller
from agentk.gitops.link import Link, LinkError, ReportRejected
from agentk.kube.client import KubeClient
from agentk.kube.concurrency import CEILING
from agentk.kube.errors import KubeError
from agentk.kube.own import Own
from agentk.leadership.election import Timing
from agentk.leadership.leadership import Leadership, lease_namespace
from agentk.memory import give_back_large_blocks
from agentk.observability import observability
from agentk.reports.queue import ReportQueue
from agentlink import __version__, logs
from agentlink.capabilities import CAPABILITIES
from agentlink.lifecycle import run
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agentlink.address import KasAddress
    from agentlink.lifecycle import Lifecycle

CONNECTIONS = 1000
"""To the API server: one for each watched kind and those of the executor. Only a bound, which is never meant to be met:
watches that took every connection would leave none to apply with."""

log = logs.get_logger("app")


class StartError(Exception):
    """agentk cannot start. The text says what to look at."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    ``token`` gives the agent's token, anew for every connection. ``kubeconfig`` and ``context`` of None: in-cluster
    where there is a service account, the user's kubeconfig otherwise. ``observability`` is host and port, None for
    nowhere. ``lease`` is how long other replicas leave a lease alone that is not renewed any more. ``max_requests`` to
    the API server are in flight at most.
    """

    kas_address: KasAddress
    token: Callable[[], str]
    ca_cert_file: Path | None = None
    kubeconfig: str | None = None
    context: str | None = None
    pod_namespace: str = ""
    pod_name: str = ""
    observability: tuple[str, int] | None = None
    lease: Timing = field(default_factory=Timing)
    max_requests: int = CEILING
    log_level: str = "info"
    log_format: logs.LogFormat = logs.LogFormat.AUTO


def serve(options: Options) -> int:
    """Run agentk until it is told to stop; return its exit code.

    Raises:
        StartError: Something it stands on cannot be used.
    """
    logs.configure(level=options.log_level, log_format=options.log_format)
    give_back_large_blocks()
    refusal: list[StartError] = []

    async def main(life: Lifecycle) -> None:
        try:
            await _serve(options, life)
        except StartError as error:
            refusal.append(error)

    code = run(main)
    if refusal:
        raise refusal[0]
    return code


async def _serve(options: Options, life: Lifecycle) -> None:
    kube = await life.start("kubernetes", _kubernetes(options))
    meta = wire.AgentMeta(
        version=__version__,
        pod_namespace=options.pod_namespace,
        pod_name=options.pod_name,
        kubernetes_version=await _kubernetes_version(kube),
        instance_id=uuid.uuid4().hex,
    )
    link = Link(
        options.kas_address,
        token=options.token,
        hello=lambda: wire.Hello(
            meta=meta,
            holding=controller.holding(),
            capabilities=CAPABILITIES,
            installation_id=controller.installation,
        ),
        ca_cert_file=options.ca_cert_file,
        removed=lambda: controller.removed(),  # noqa: PLW0108 - made below
    )

    async def report(request: wire.ReportRequest) -> None:
        if not leadership.may_report:
            raise LinkError("another replica may lead: what this one has to say waits until that is clear")
        await link.report(request)

    reports = ReportQueue(report, connected=link.wait_connected, failure=LinkError, rejection=ReportRejected)
    leadership = Leadership(
        kube,
        namespace=lease_namespace(options.pod_namespace),
        pod_name=options.pod_name,
        timing=options.lease,
        on_trouble=lambda trouble: controller.hindered(trouble),  # noqa: PLW0108 - made below
    )
    controller = Controller(
        kube,
        reports,
        link=link,
        home=lease_namespace(options.pod_namespace),
        own=Own(kube, namespace=options.pod_namespace, pod=options.pod_name),
        stand=leadership.stand,
    )
    if options.observability is not None:
        host, port = options.observability
        try:
            await life.start("observability", observability(link, leadership, host, port))
        except OSError as error:
            raise StartError(f"--observability-address {host}:{port}: cannot listen: {error}") from error
    await life.background("link", link.run(controller.consume))
    await life.start("commands", controller.commands.running())
    # Given back last: nothing writes any more then, and kas has heard what was done.
    await life.start("leadership", leadership.standing())
    await life.start("reports", _flushed(reports))
    await life.background("reports-sender", reports.run())
    await life.background("discovery", controller.prepare())
    await life.background("projects", _lead(leadership, controller))
    await life.wait()


async def _lead(leadership: Leadership, controller: Controller) -> None:
    """Drive the projects whenever this replica leads, and only then."""
    while True:
        async with leadership.term() as guard, controller.running(guard):
            await guard.ended()


@asynccontextmanager
async def _kubernetes(options: Options) -> AsyncIterator[KubeClient]:
    try:
        kube = await KubeClient.connect(
            kubeconfig=options.kubeconfig,
            context=options.context,
            connections=CONNECTIONS,
            max_requests=options.max_requests,
        )
    except KubeError as error:
        raise StartError(f"kubernetes: {error.message}") from error
    try:
        yield kube
    finally:
        await kube.close()


async def _kubernetes_version(kube: KubeClient) -> str:
    """Return the cluster's version, empty while its API server cannot be reached: agentk starts all the same."""
    try:
        return (await kube.version()).get("gitVersion", "")
    except KubeError as error:
        log.warning("The Kubernetes API server does not answer yet", why=str(error))
        return ""


@asynccontextmanager
async def _flushed(reports: ReportQueue) -> AsyncIterator[None]:
    """Deliver what is still waiting when the projects have stopped and the connection has not."""
    try:
        yield
    finally:
        await reports.flush()
