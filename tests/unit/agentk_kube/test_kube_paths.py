from __future__ import annotations

import pytest

from agentk.apply.model import Kind
from agentk.kube.errors import KubeError
from agentk.kube.paths import collection_path, object_path
from agentlink.refs import ObjectRef

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)


def test_paths_are_those_of_the_api() -> None:
    assert collection_path(CONFIG_MAP, "") == "/api/v1/configmaps"
    assert collection_path(CONFIG_MAP, "shop") == "/api/v1/namespaces/shop/configmaps"
    ref = ObjectRef(ROLE.group, ROLE.kind, "", "system:node")
    assert object_path(ROLE, ref) == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"


def test_a_name_from_git_stays_one_segment() -> None:
    ref = ObjectRef("", "ConfigMap", "a/b", "../secrets/x?dryRun=All#%2e")
    assert object_path(CONFIG_MAP, ref) == "/api/v1/namespaces/a%2Fb/configmaps/..%2Fsecrets%2Fx%3FdryRun%3DAll%23%252e"


@pytest.mark.parametrize(
    ("name", "segment"), [("a-b.c9", "a-b.c9"), ("ä²", "%C3%A4%C2%B2"), ("-", "-"), ("a b", "a%20b")]
)
def test_what_no_path_may_hold_is_encoded(name: str, segment: str) -> None:
    assert object_path(ROLE, ObjectRef(ROLE.group, ROLE.kind, "", name)).endswith(f"/clusterroles/{segment}")


@pytest.mark.parametrize("name", ["", ".", ".."])
@pytest.mark.parametrize("where", ["name", "namespace"])
def test_a_name_that_would_lead_elsewhere_is_refused(name: str, where: str) -> None:
    ref = ObjectRef("", "ConfigMap", name if where == "namespace" else "n", name if where == "name" else "n")
    with pytest.raises(KubeError) as caught:
        object_path(CONFIG_MAP, ref)
    assert caught.value.reason == "Invalid"
