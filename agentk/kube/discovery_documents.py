"""Reading the API server's discovery documents, new and old. Pure; asking for them is in ``discovery``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentk.apply.model import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Served:
    """A kind in one version, and what can be done with it."""

    kind: Kind
    verbs: frozenset[str]


def from_aggregated(document: Mapping[str, Any]) -> tuple[list[Served], set[str]]:
    """Read an ``APIGroupDiscoveryList``.

    Returns:
        The kinds, those of a group's preferred version first; and the ``group/version`` that are stale.
    """
    served: list[Served] = []
    stale: set[str] = set()
    for item in document.get("items") or ():
        group = (item.get("metadata") or {}).get("name", "")
        for entry in item.get("versions") or ():
            version = entry["version"]
            if entry.get("freshness") == "Stale":
                stale.add(f"{group}/{version}" if group else version)
            served += [
                Served(
                    Kind(
                        group,
                        version,
                        resource["responseKind"]["kind"],
                        resource["resource"],
                        resource.get("scope") == "Namespaced",
                    ),
                    frozenset(resource.get("verbs") or ()),
                )
                for resource in entry.get("resources") or ()
                # A resource that only groups subresources has no kind of its own.
                if (resource.get("responseKind") or {}).get("kind")
            ]
    return served, stale


def versions_of(document: Mapping[str, Any]) -> list[str]:
    """Read an ``APIVersions`` or ``APIGroupList``: every ``group/version``, a group's preferred one first."""
    if "groups" not in document:
        return [str(version) for version in document.get("versions") or ()]
    versions: list[str] = []
    for group in document["groups"] or ():
        preferred = (group.get("preferredVersion") or {}).get("groupVersion")
        listed = [entry["groupVersion"] for entry in group.get("versions") or ()]
        versions += sorted(listed, key=lambda version: version != preferred)
    return versions


def from_resource_list(group_version: str, document: Mapping[str, Any]) -> list[Served]:
    """Read an ``APIResourceList``, the answer for one ``group/version``."""
    group, _, version = group_version.rpartition("/")
    return [
        Served(
            Kind(group, version, resource["kind"], resource["name"], bool(resource.get("namespaced"))),
            frozenset(resource.get("verbs") or ()),
        )
        for resource in document.get("resources") or ()
        if "/" not in resource["name"]
    ]
