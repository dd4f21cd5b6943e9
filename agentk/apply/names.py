"""The labels, annotations and field manager that agentk writes or obeys, each once.

They are here, and not beside their users, because the engine that writes them, the Kubernetes room that selects by them
and the health rules must agree. Those with a ``cli-utils`` or ``config.k8s.io`` name are what GitLab's agent and kpt
use, so that an installation of theirs is taken over as it stands.
"""

from __future__ import annotations

from typing import Final

FIELD_MANAGER: Final = "agentk"
"""The manager of our server-side applies."""

LEFT_MANAGER: Final = "agentk-released"
"""The manager that holds what we let go of until somebody else sets it: what nobody holds, the server removes."""

AGENT_LABEL: Final = "agentk.io/agent"
"""On every applied object; the value is the agent's id. Lists and watches select by it."""

OWNING_INVENTORY: Final = "config.k8s.io/owning-inventory"
"""Annotation on every applied object; the value is the id of the inventory that owns it."""

INVENTORY_LABEL: Final = "cli-utils.sigs.k8s.io/inventory-id"
"""Label on an inventory's ConfigMap; the value is the inventory's id, on further shards of it ``<id>.shard``."""

INVENTORY_SHARD: Final = "agentk.io/inventory-shard"
"""Label on a further shard of an inventory; the value is its number, from 1 on."""

INVENTORY_SHARDS: Final = "agentk.io/inventory-shards"
"""Annotation on an inventory's ConfigMap: the numbers of its further shards, with commas."""

OWNING_PROJECT: Final = "agentk.io/project"
"""Annotation on an inventory's ConfigMap: the path of the project whose it is."""

OWNING_CONFIGURATION: Final = "agentk.io/configuration-project"
"""Annotation on an inventory's ConfigMap: the path of the configuration project that has the project synced."""

OWNING_AGENT: Final = "agentk.io/agent-name"
"""Annotation on an inventory's ConfigMap: the name of the agent."""

IDENTITY_SEAL: Final = "agentk.io/identity"
"""Annotation on an inventory's ConfigMap: that agentk has written the three above, for this inventory in this place."""

SELECTED_BY: Final = "agentk.io/selected-by"
"""Annotation on an inventory's ConfigMap: what selected its objects when they were applied, signed."""

INVENTORY_KEY: Final = "agentk-inventory-key"
"""The Secret with the key that inventories are sealed with, in the namespace where agentk runs."""

ON_REMOVE: Final = "cli-utils.sigs.k8s.io/on-remove"
"""Annotation: what to do with an object that leaves Git."""

ON_REMOVE_KEEP: Final = "keep"
"""Value of ``ON_REMOVE`` that leaves the object where it is."""

LIFECYCLE_DELETION: Final = "client.lifecycle.config.k8s.io/deletion"
"""Annotation: what to do with an object that leaves Git, in the newer spelling."""

LIFECYCLE_DELETION_DETACH: Final = "detach"
"""Value of ``LIFECYCLE_DELETION`` that leaves the object where it is."""

LIFECYCLE_MUTATION: Final = "client.lifecycle.config.k8s.io/mutation"
"""Annotation: whether changes of an object are put into the cluster once it exists."""

LIFECYCLE_MUTATION_IGNORE: Final = "ignore"
"""Value of ``LIFECYCLE_MUTATION`` under which an object is created, and never changed after."""

DEPENDS_ON: Final = "config.kubernetes.io/depends-on"
"""Annotation: objects that must be healthy before this one is applied."""

APPLY_TIME_MUTATION: Final = "config.kubernetes.io/apply-time-mutation"
"""Annotation: fields to be filled from other objects just before applying."""

DRIFT: Final = "agentk.io/drift"
"""Annotation: what is done about changes of this object by others: ``correct``, ``report`` or ``ignore``."""

IGNORE_FIELDS: Final = "agentk.io/ignore-fields"
"""Annotation: fields that are left to others, as JSON pointers with commas between."""

FORCE_CONFLICTS: Final = "agentk.io/force-conflicts"
"""Annotation: ``true`` takes fields from other appliers too."""

RECREATE: Final = "agentk.io/recreate"
"""Annotation: ``true`` deletes and creates the object again when what changed cannot be changed in place."""

FROM_SECRETS: Final = "agentk.io/from-secrets"
"""Annotation on an object other than a Secret that was filled with a Secret's value once; stays with it for good."""

WAVE: Final = "agentk.io/wave"
"""Annotation: the wave of an object, an integer. Lower waves are applied and healthy before the next begins."""

ARGO_CD_WAVE: Final = "argocd.argoproj.io/sync-wave"
"""Argo CD's annotation of that meaning, obeyed where ``WAVE`` is not set."""

_DOMAINS: Final = (
    "agentk.io/",
    "cli-utils.sigs.k8s.io/",
    "client.lifecycle.config.k8s.io/",
    "config.k8s.io/",
    "config.kubernetes.io/",
)


def steers(key: str) -> bool:
    """Tell whether a label or annotation is one of those that say whose an object is, and what is done about it."""
    return key.startswith(_DOMAINS) or key == ARGO_CD_WAVE
