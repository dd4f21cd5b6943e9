"""What a revision would change, for who asks before merging it: a sync that ends at its plan, which is then rehearsed.

It shares nothing with the project's own syncs but the watches, so that it may run beside them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.diff.differ import diff
from agentk.gitops.sync import ProjectSync
from agentk.kube.inventory_store import InventoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from agentk.apply.model import ProjectSettings, Snapshot
    from agentk.gitops.sync import Cluster
    from agentk.kube.client import KubeClient
    from agentlink.refs import ObjectRef
    from agentlink.v1 import agentlink_pb2 as wire


async def foresee(
    kube: KubeClient,
    cluster: Cluster,
    settings: ProjectSettings,
    snapshot: Snapshot,
    *,
    running: Callable[[ObjectRef], bytes | None],
) -> AsyncGenerator[wire.ObjectDiff, None]:
    """Yield what would become of each object if a revision were synced now, suspended or not.

    Args:
        kube: The connection, as the project itself has it.
        cluster: The parts that projects share, with the project's own executor and objects.
        settings: The project's.
        snapshot: The revision.
        running: Tells what the revision that runs says of an object, None where it does not hold it.

    Raises:
        KubeError: The cluster could not be asked.
        InventoryError: The inventory cannot be understood.
    """
    store = InventoryStore(
        kube,
        settings.inventory_id,
        namespace=settings.inventory_home,
        key=cluster.inventory_key,
        identity=settings.identity,
    )
    plan = await ProjectSync(cluster, replace(settings, suspension=None), store).foresee(snapshot)
    for one in await diff(kube, cluster, plan, running):
        yield one
