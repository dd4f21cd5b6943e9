"""Two revisions of one project, about 200 objects each, such that either plan from one to the other does everything.

Objects are created, configured, left alone and pruned; namespaces, a CustomResourceDefinition with its resource, and
dependencies come and go. So one can go back and forth as often as there are steps at which to strike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.support.manifests import config_map

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP: Final = "chaos.test.agentk.example"
DEPENDS_ON: Final = "config.kubernetes.io/depends-on"

CHANGING: Final = 80
STAYING: Final = 40
COMING: Final = 50
INSIDE: Final = 10
CHAIN: Final = 5

_DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  names: {{kind: {kind}, listKind: {kind}List, plural: {plural}, singular: {singular}}}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""


def files(side: str, namespace: str) -> dict[str, str]:
    """Return the manifests of a revision, ``a`` or ``b``, by path, for a project in this namespace."""
    assert side in {"a", "b"}
    return {f"manifests/{name}.yaml": text for name, text in _manifests(side, namespace)}


def _manifests(side: str, namespace: str) -> Iterator[tuple[str, str]]:
    for number in range(CHANGING):
        yield f"changing-{number}", config_map(f"changing-{number}", side)
    for number in range(STAYING):
        yield f"staying-{number}", config_map(f"staying-{number}")
    for number in range(COMING):
        yield f"{side}-{number}", config_map(f"{side}-{number}")
    inside = f"{namespace}-{side}"
    yield f"namespace-{side}", f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {inside}}}\n"
    for number in range(INSIDE):
        yield f"inside-{side}-{number}", config_map(f"inside-{number}", namespace=inside)
    yield f"account-{side}", f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {side}}}\n"
    yield "secret", f"apiVersion: v1\nkind: Secret\nmetadata: {{name: secret}}\nstringData: {{key: {side}}}\n"
    kind = f"Kind{side.upper()}"
    yield (
        f"definition-{side}",
        _DEFINITION.format(group=GROUP, kind=kind, plural=f"{kind.lower()}s", singular=kind.lower()),
    )
    yield f"custom-{side}", f"apiVersion: {GROUP}/v1\nkind: {kind}\nmetadata: {{name: one}}\nspec: {{of: {side}}}\n"
    # A chain in opposite directions, so that what is pruned first on one side is created first on the other.
    for number in range(CHAIN):
        before = f"/namespaces/{namespace}/ConfigMap/chain-{side}-{number - 1}"
        notes = f"  annotations: {{{DEPENDS_ON}: '{before}'}}\n" if number else ""
        text = config_map(f"chain-{side}-{number}")
        yield f"chain-{side}-{number}", text.replace("metadata:\n", f"metadata:\n{notes}")


KINDS: Final = (
    "/api/v1/namespaces",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/serviceaccounts",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    f"/apis/{GROUP}/v1/kindas",
    f"/apis/{GROUP}/v1/kindbs",
)
"""Where all objects of both revisions are."""


def keeps(name: str) -> bool:
    """Tell whether an object of this name is in both revisions."""
    return name.startswith(("changing-", "staying-")) or name == "secret"


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """Return what of an object must be the same however often agentk was killed on the way."""
    metadata = {
        key: value
        for key, value in item["metadata"].items()
        if key not in {"uid", "resourceVersion", "creationTimestamp", "generation"}
    }
    metadata["managedFields"] = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in metadata.get("managedFields", ())
        if entry["manager"] == "agentk"
    ]
    content = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
    return {"metadata": metadata, **content}
