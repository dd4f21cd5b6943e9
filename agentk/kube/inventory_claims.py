"""The inventories of a namespace, and whose they say that they are. What follows from it is ``rules.whose``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.identity import claim_of
from agentk.apply.model import Kind
from agentk.apply.names import INVENTORY_LABEL
from agentk.apply.seal import Seal
from agentk.kube.client import METADATA_LIST
from agentk.kube.inventory_maps import document_of
from agentk.kube.paths import collection_path

if TYPE_CHECKING:
    from agentk.apply.identity import Claim
    from agentk.kube.sending import Sender

CONFIG_MAP: Final = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)


async def claims_in(sender: Sender, namespace: str, key: bytes | None) -> list[Claim]:
    """Return the inventories in a namespace, of any agent; only those under the name that their id gives them.

    Args:
        sender: The connection, with the rights of the project that asks.
        namespace: Where.
        key: What agentk has signed with; None: it has none.

    Raises:
        KubeError: They cannot be listed.
    """
    claims: dict[str, Claim] = {}
    async for page in sender.pages(
        collection_path(CONFIG_MAP, namespace), selector=INVENTORY_LABEL, accept=METADATA_LIST
    ):
        if page.first:
            claims.clear()
        for document in map(document_of, page.items):
            inventory_id = document.labels[INVENTORY_LABEL]
            if document.stored.ref.name == f"inventory-{inventory_id}":
                seal = Seal(key, inventory_id) if key is not None else None
                claims[inventory_id] = claim_of(inventory_id, namespace, document.annotations, seal)
    return list(claims.values())
