"""What `kas generate` writes, on a real API server, with agentk using exactly the rights that are in it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificate import CERTIFICATE
from tests.support.installed_agent import (
    apply,
    can_be_in_pod,
    documents,
    generate,
    in_pod,
    path_of,
    service_account_token,
    token_file,
)
from tests.support.manifests import config_files
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

BOUTIQUE = ROOT.parent / "shared" / "manifests" / "online-boutique"


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (template,) = (one["spec"]["template"] for one in objects if one["kind"] == "Deployment")
    metadata = {**template["metadata"], "name": "one"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_kubectl_applies_it_and_finds_nothing_to_change_afterwards(
    installation: Installation, cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; the other tests apply the same with a client of their own")
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    prefix = f"{namespace[-6:]}-"
    text = generate(
        installation.kas, "kubectl", namespace, "--name-prefix", prefix, "--ca-cert-file", str(tmp_path / "ca.pem")
    )

    def kubectl_apply() -> list[str]:
        command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "apply", "-f", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert len(kubectl_apply()) == len(documents(text))
    again = kubectl_apply()
    assert [line for line in again if not line.endswith(" unchanged")] == []


def test_the_pod_is_admitted_where_only_restricted_pods_are(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    objects = documents(generate(installation.kas, "restricted", namespace, "--name-prefix", f"{namespace[-6:]}-"))
    apply(kube, objects)
    kube.patch(
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )

    pod = pod_of(objects)
    kube.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(Exception, match="violates PodSecurity"):
        kube.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)


def test_agentk_syncs_a_real_project_from_inside_the_pod(
    installation: Installation, cluster: ControlPlane, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    if not BOUTIQUE.is_dir():
        pytest.skip("the manifests are another project's data, kept outside this repository, and not here")
    if not can_be_in_pod():
        pytest.skip("this machine allows no mount namespaces, so agentk cannot be given a pod's files")
    kas = installation.kas
    files = {f"manifests/{file.name}": file.read_bytes() for file in BOUTIQUE.glob("*.yaml")}
    commit = installation.git.create("group/config").push_files({**config_files("pod", namespace), **files})
    objects = documents(generate(kas, "pod", f"{namespace}-agent"))
    apply(kube, objects)
    token = service_account_token(kube, f"{namespace}-agent")

    (container,) = pod_of(objects)["spec"]["containers"]
    # The two that name the pod's own files and address: there is no pod here.
    args = [arg for arg in container["args"] if not arg.startswith(("--token-file", "--observability-address"))]
    agent = in_pod(
        cluster,
        token,
        *args,
        f"--token-file={token_file(kas, 'pod')}",
        "--observability-address=",
        directory=tmp_path / "pod",
    )
    try:
        sync = kas.wait_sync("pod", state="applied", commit=commit)
        assert sync["counts"]["created"] == sync["counts"]["total"] > 30
        assert sync["counts"]["failed"] == 0
    finally:
        agent.terminate()
        for one in objects:
            if one["kind"].startswith("Cluster") or one["kind"] == "Namespace":
                kube.delete(path_of(one))
