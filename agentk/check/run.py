"""Runs every check and says what came out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentk.check.cluster import check_cluster
from agentk.check.server import check_server
from agentk.leadership.leadership import lease_namespace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentlink.address import KasAddress
    from agentlink.findings import Finding


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check. ``token`` gives the agent's token or raises TokenError; empty tuples mean everything.

    ``pod_namespace`` is where agentk runs, empty to find out.
    """

    kas_address: KasAddress
    token: Callable[[], str]
    ca_cert_file: Path | None
    kubeconfig: str | None
    context: str | None
    pod_namespace: str
    namespaces: tuple[str, ...]
    kinds: tuple[str, ...]


def check(options: CheckOptions) -> list[Finding]:
    """Check everything and return what was found; ends by itself within about two minutes."""
    return asyncio.run(_check(options))


async def _check(options: CheckOptions) -> list[Finding]:
    agent_ids: list[int] = []
    way = check_server(options.kas_address, options.token, options.ca_cert_file, agent_ids.append)
    server = [finding async for finding in way]
    cluster = check_cluster(
        kubeconfig=options.kubeconfig,
        context=options.context,
        namespaces=options.namespaces,
        kinds=options.kinds,
        lease_namespace=lease_namespace(options.pod_namespace),
        agent_id=agent_ids[0] if agent_ids else None,
    )
    return [*server, *[finding async for finding in cluster]]
