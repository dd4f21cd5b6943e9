"""The name of one Kubernetes object, as both programs write it.

The version is not part of the name: ``apps/v1`` and ``apps/v1beta1`` Deployments of one name are one object.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class ObjectRef(NamedTuple):
    """Identifies an object in a cluster.

    ``group`` is empty for the core group, ``namespace`` for cluster-scoped objects. A tuple: everything about an object
    is looked up by it, two dozen times in a sync, and hashing one costs a fifth of what hashing a dataclass does.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Write it as GitLab's agent and kubectl do: ``deployment.apps/nginx``, with the namespace in front if any."""
        kind = self.kind.lower() if not self.group else f"{self.kind.lower()}.{self.group}"
        return f"{self.namespace}/{kind}/{self.name}" if self.namespace else f"{kind}/{self.name}"


def group_of(api_version: str) -> str:
    """Return the group of an ``apiVersion``: ``apps`` for ``apps/v1``, empty for ``v1``."""
    return api_version.partition("/")[0] if "/" in api_version else ""


def digest_of(refs: Iterable[ObjectRef]) -> bytes:
    """Return 16 bytes that stand for a set of objects, in any order: what was looked at is what is confirmed."""
    lines = sorted(f"{ref.group}\0{ref.kind}\0{ref.namespace}\0{ref.name}" for ref in refs)
    return blake2b("\n".join(lines).encode(), digest_size=16).digest()
