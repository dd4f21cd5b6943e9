"""Wires agentk together. The only place that knows every room; each part starts after what it stands on."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentk.gitops.controller import Controller
from agentk.gitops.link import Link, LinkError, ReportRejected
from agentk.kube.client import KubeClient
from agentk.kube.errors import KubeError
from agentk.observability import observability
from agentk.reports.queue import ReportQueue
from agentlink import __version__, logs
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
    nowhere.
    """

    kas_address: KasAddress
    token: Callable[[], str]
    ca_cert_file: Path | None = None
    kubeconfig: str | None = None
    context: str | None = None
    pod_namespace: str = ""
    pod_name: str = ""
    observability: tuple[str, int] | None = None
    log_level: str = "info"
    log_format: logs.LogFormat = logs.LogFormat.AUTO


def serve(options: Options) -> int:
    """Run agentk until it is told to stop; return its exit code.

    Raises:
        StartError: Something it stands on cannot be used.
    """
    logs.configure(level=options.log_level, log_format=options.log_format)
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
        hello=lambda: wire.Hello(meta=meta, holding=controller.holding()),
        ca_cert_file=options.ca_cert_file,
    )
    reports = ReportQueue(link.report, connected=link.wait_connected, failure=LinkError, rejection=ReportRejected)
    controller = Controller(kube, reports, own_namespace=options.pod_namespace)
    if options.observability is not None:
        host, port = options.observability
        try:
            await life.start("observability", observability(link, host, port))
        except OSError as error:
            raise StartError(f"--observability-address {host}:{port}: cannot listen: {error}") from error
    await life.background("link", link.run(controller.consume))
    await life.start("reports", _flushed(reports))
    await life.background("reports-sender", reports.run())
    await life.start("projects", controller.running())
    await life.wait()


@asynccontextmanager
async def _kubernetes(options: Options) -> AsyncIterator[KubeClient]:
    try:
        kube = await KubeClient.connect(kubeconfig=options.kubeconfig, context=options.context, connections=CONNECTIONS)
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
