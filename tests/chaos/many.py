"""cli-utils' stress cases through both programs: very many Deployments, and namespaces with an object in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.driven import Driven
    from tests.support.installation import Installation

WITHIN = 600.0


def many(here: Installation, driven: Driven, *, deployments: int, namespaces: int) -> None:
    """Create, change and delete so many Deployments, without pods, and so many namespaces.

    Args:
        here: Where the agent runs.
        driven: Its one project, which is its configuration project too; not pushed to yet.
        deployments: How many.
        namespaces: How many, each with a ConfigMap in it.
    """
    kube, prefix = driven.kube, driven.namespace
    driven.push(
        {
            **config_files(driven.agent, prefix, more="    prune_confirmation: never\n"),
            "manifests/stays.yaml": config_map("stays"),
        }
    )
    here.agent(driven.agent, project=driven.project)
    driven.wait("healthy", within=WITHIN)

    def files(value: str) -> dict[str, str]:
        found = {}
        for number in range(deployments):
            text = deployment(f"many-{number}", replicas=0).replace("nginx:1.27", f"nginx:{value}")
            found[f"manifests/deployments/{number}.yaml"] = text
        for number in range(namespaces):
            name = f"{prefix}-{number}"
            inside = config_map("inside", value, namespace=name)
            text = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n{inside}"
            found[f"manifests/namespaces/{number}.yaml"] = text
        return found

    total = deployments + 2 * namespaces
    created = driven.wait("healthy", commit=driven.push(files("1")), within=WITHIN)
    assert (created["counts"]["created"], created["counts"]["failed"]) == (total, 0)
    changed = driven.wait("healthy", commit=driven.push(files("2")), within=WITHIN)
    assert (changed["counts"]["configured"], changed["counts"]["failed"]) == (deployments + namespaces, 0)
    inside = kube.get("/api/v1/configmaps", fieldSelector="metadata.name=inside")["items"]
    ours = [one for one in inside if one["metadata"]["namespace"].startswith(f"{prefix}-")]
    assert [one["data"]["value"] for one in ours] == ["2"] * namespaces

    removed = driven.wait(
        "healthy", commit=driven.remove("manifests/deployments", "manifests/namespaces"), within=WITHIN
    )
    assert (removed["counts"]["pruned"], removed["counts"]["failed"]) == (total, 0)
    assert driven.value("stays") == "1"
    wait_until(lambda: not kube.get(f"/apis/apps/v1/namespaces/{prefix}/deployments")["items"], what="none is left")
    (inventory,) = kube.get(
        f"/api/v1/namespaces/{prefix}/configmaps", labelSelector="cli-utils.sigs.k8s.io/inventory-id"
    )["items"]
    assert len(inventory["data"]) == 1
