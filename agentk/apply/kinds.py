"""Finding how a kind is served, and reading kinds out of CRDs before the API server serves them. Pure.

Asking the server is ``agentk.kube.discovery``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agentk.apply.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentlink.refs import ObjectRef


class Kinds(Protocol):
    """Where kinds are looked up."""

    def find(self, group: str, kind: str, version: str) -> Kind | None:
        """Return the kind in that version if it is served so, otherwise in the preferred one; None if not served."""
        ...

    def verbs(self, kind: Kind) -> frozenset[str]:
        """Return what can be done with a kind, such as ``patch``; nothing where that is not known."""
        ...


class KindsWithDefined:
    """The kinds that are served, and those that CRDs of the same revision are about to add."""

    def __init__(self, served: Kinds, defined: Iterable[Kind]) -> None:
        self._served = served
        self._defined = {(kind.group, kind.kind, kind.version): kind for kind in defined}

    def find(self, group: str, kind: str, version: str) -> Kind | None:
        """Return the kind in that version if it is or will be served so, otherwise as it is served now, if at all."""
        found = self._served.find(group, kind, version)
        if found is not None and found.version == version:
            return found
        return self._defined.get((group, kind, version), found)

    def verbs(self, kind: Kind) -> frozenset[str]:
        """Return what can be done with a kind that is served; nothing is known of one that is yet to be."""
        return self._served.verbs(kind)


def served_as(kinds: Kinds, ref: ObjectRef) -> Kind | None:
    """Return how an object that somebody names is served; None too where its kind has no namespaces and it names one.

    Such a name would pass for one in a namespace, and be answered with an object of the whole cluster.
    """
    kind = kinds.find(ref.group, ref.kind, "")
    return kind if kind is not None and kind.namespaced == bool(ref.namespace) else None


def defined_by(crd: Mapping[str, object]) -> tuple[Kind, ...]:
    """Read the kinds that a CustomResourceDefinition makes served, one for each version, in the CRD's order.

    A CRD that is not well formed defines none; the API server says what is wrong with it when it is applied.
    """
    match crd.get("spec"):
        case {
            "group": str(group),
            "scope": str(scope),
            "names": {"kind": str(kind), "plural": str(plural)},
            "versions": [*versions],
        }:
            return tuple(
                Kind(group, version["name"], kind, plural, namespaced=scope == "Namespaced")
                for version in versions
                if isinstance(version, dict) and version.get("served") and isinstance(version.get("name"), str)
            )
        case _:
            return ()
