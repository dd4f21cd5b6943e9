"""The chart of agentk says what `kas generate` says, object by object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from agentlink import __version__
from kas.cli.main import main
from kas.install.schema import values_schema, values_yaml
from tests.helm.charts import CHARTS, HelmError
from tests.support.certificate import CERTIFICATE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helm.charts import Helm

CHART = CHARTS / "agentk"

NEEDED: dict[str, Any] = {"kasAddress": "wss://kas.example.com", "token": "glagent-0123456789"}

CHOICES: dict[str, dict[str, Any]] = {
    "nothing but what is needed": {},
    "prefix": {"namePrefix": "west-"},
    "no roles": {"rbac": False},
    "namespaces": {"scope": {"namespaces": ["b", "a", "b"]}},
    "kinds": {"scope": {"kinds": ["widgets.example.com", "deployments.apps", "services"]}},
    "namespaces and kinds": {"scope": {"namespaces": ["on"], "kinds": ["configmaps"]}},
    "accounts": {"scope": {"impersonate": ["b/two", "a/x", "b/one", "b/one"]}},
    "accounts and namespaces": {"scope": {"impersonate": ["a/x"], "namespaces": ["a"]}},
    "accounts and kinds": {"scope": {"impersonate": ["a/x"], "kinds": ["services"]}},
    "authority": {"caCert": f"\n{CERTIFICATE}\n"},
    "secret of one's own": {"token": "", "existingSecret": "mine"},
    "image": {"image": "registry.example.com:5000/group/agentk"},
    "version": {"agentVersion": "1e3"},
    "image with its tag": {"image": "registry.example.com:5000/group/agentk:7", "imagePullSecrets": ["a", "b"]},
    "image with its digest": {"image": "agentk@sha256:" + "0" * 64},
    "paused": {"replicas": 0},
    "replicas": {"replicas": 3},
    "replicas with a prefix": {"replicas": 2, "namePrefix": "west-", "scope": {"namespaces": ["agents"]}},
    "no network policy": {"networkPolicy": {"enabled": False}},
    "ports": {"networkPolicy": {"dnsPorts": [53], "apiServerPorts": [16443, 443], "otherPorts": [3128, 443]}},
    "websocket": {"kasAddress": " ws://10.0.0.1 \n"},
    "websocket with port and path": {"kasAddress": "ws://kas:8150/a/$(POD_NAME)?b=\"'{{.Values.token}}"},
    "grpc": {"kasAddress": "grpc://[::1]:9000"},
    "grpc by its usual port": {"kasAddress": "grpcs://[::1]"},
    "token with a line break behind it": {"token": "glagent-0123456789\n"},
    "log level": {"logLevel": "debug"},
    "resources": {"resources": {"limits": {"memory": None, "cpu": 2}, "requests": {"memory": "1Gi"}}},
    "labels and annotations": {
        "podLabels": {"app.kubernetes.io/name": "other", "a": "y"},
        "podAnnotations": {"a": "b: {c\n--- {{ .Values.token }}", "d": "1e3"},
    },
    "environment": {"env": {"Z": "$(A)", "A": "\"'\n: {{ .Release.Name }}", "N": "on"}},
    "placing": {
        "nodeSelector": {"a": "true"},
        "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 30}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        "priorityClassName": "system-cluster-critical",
    },
}

WRONG: dict[str, dict[str, Any]] = {
    "no address": {"kasAddress": ""},
    "no token": {"token": ""},
    "token and secret": {"existingSecret": "mine"},
    "two versions": {"image": "agentk:1", "agentVersion": "2"},
    "two versions with a digest": {"image": "agentk@sha256:" + "0" * 64, "agentVersion": "2"},
    "a hundred replicas": {"replicas": 100},
    "less than none": {"replicas": -1},
    "scheme": {"kasAddress": "https://kas.example.com"},
    "address with a line break": {"kasAddress": "wss://kas.example\n.com"},
    "token with a line break": {"token": "glagent-\n0123456789"},
    "token of another kind": {"token": "kasapi-0123456789"},
    "no certificate": {"caCert": "nonsense"},
    "private key": {"caCert": f"{CERTIFICATE}-----BEGIN PRIVATE KEY-----\n"},
    "prefix": {"namePrefix": "a\nb: c"},
    "namespace": {"scope": {"namespaces": ["a/b"]}},
    "kind": {"scope": {"kinds": ["Deployment"]}},
    "account without a namespace": {"scope": {"impersonate": ["deployer"]}},
    "image": {"image": "agentk: {"},
    "value that is none": {"nonsense": 1},
    "value that is none inside": {"scope": {"nonsense": []}},
    "type": {"rbac": "no"},
    "log level": {"logLevel": "loud"},
}


def generated(values: dict[str, Any], directory: Path) -> list[dict[str, Any]]:
    file = directory / "values.json"
    file.write_text(json.dumps(values))
    done = CliRunner().invoke(main, ["generate", "--namespace", "agents", "--values", str(file)])
    if done.exit_code != 0:
        raise ValueError(done.output)
    return list(yaml.safe_load_all(done.stdout))


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}
    assert len(found) == len(objects)
    return found


@pytest.mark.parametrize("choice", CHOICES)
def test_the_chart_and_the_generator_give_the_same_objects(choice: str, helm: Helm, tmp_path: Path) -> None:
    values = {**NEEDED, **CHOICES[choice]}

    ours = by_name(generated(values, tmp_path))
    # Helm's user makes it, or `helm install --create-namespace`: it must be there before anything of a chart is.
    del ours["Namespace", "", "agents"]

    assert by_name(helm.template("agentk", values, namespace="agents")) == ours


@pytest.mark.parametrize("choice", CHOICES)
def test_the_chart_passes_helms_lint(choice: str, helm: Helm) -> None:
    helm.lint("agentk", {**NEEDED, **CHOICES[choice]})


@pytest.mark.parametrize("mistake", WRONG)
def test_what_the_generator_refuses_the_chart_refuses(mistake: str, helm: Helm, tmp_path: Path) -> None:
    values = {**NEEDED, **WRONG[mistake]}

    with pytest.raises(ValueError, match="error: "):
        generated(values, tmp_path)
    with pytest.raises(HelmError) as refused:
        helm.template("agentk", values)
    assert "0123456789" not in str(refused.value)


@pytest.mark.parametrize(
    "lost",
    [
        {"scope": None},
        {"scope": {"namespaces": None}},
        {"scope": {"kinds": None, "namespaces": ["a"]}},
        {"scope": {"namespace": ["a"]}},
        {"scope": {"Namespaces": ["a"]}},
        {"Scope": {"namespaces": ["a"]}},
        {"namespaces": ["a"]},
        {"networkPolicy": None},
        {"networkPolicy": {"enabled": None}},
    ],
    ids=json.dumps,
)
def test_a_scope_that_gets_lost_is_refused_and_not_the_whole_cluster(
    lost: dict[str, object], helm: Helm, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="error: "):
        generated({**NEEDED, **lost}, tmp_path)
    with pytest.raises(HelmError):
        helm.template("agentk", {**NEEDED, **lost})


def test_the_charts_values_are_written_from_the_model() -> None:
    again = "run python -m kas.install.schema manifests/charts/agentk"
    assert (CHART / "values.yaml").read_text() == values_yaml(), again
    assert (CHART / "values.schema.json").read_text() == values_schema(), again


def test_the_chart_installs_the_version_it_stands_beside() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__
