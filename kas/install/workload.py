"""The pod that agentk runs in, and what guards it. Fits the ``restricted`` Pod Security Standard.

No user or group is set: OpenShift chooses its own, and elsewhere the image's is a number other than 0, which
``runAsNonRoot`` insists on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kas.install.naming import CA_CONFIG_MAP, CA_KEY, NAME, TOKEN_KEY, metadata, selector, token_secret

if TYPE_CHECKING:
    from kas.install.values import Values

OBSERVABILITY_PORT = 8081

_TOKEN_MOUNT = "/etc/agentk/token"  # noqa: S105 -- a path
_CA_MOUNT = "/etc/agentk/ca"
_TEMPORARY = "/tmp"  # noqa: S108 -- the pod's own


def deployment(values: Values, namespace: str) -> dict[str, Any]:
    """Return the Deployment. A new pod is ready, and stands by, before an old one ends and lets it write."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(values, NAME, namespace),
        "spec": {
            "replicas": values.replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": selector(values)},
            "template": {"metadata": _pod_metadata(values), "spec": _pod(values)},
        },
    }


def disruption_budget(values: Values, namespace: str) -> dict[str, Any]:
    """Return the budget that keeps one of several replicas while nodes are emptied."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(values, NAME, namespace),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(values)}},
    }


def network_policy(values: Values, namespace: str) -> dict[str, Any]:
    """Return the policy: out to name servers, kas and the API server, in to the probes and metrics.

    By port and to anywhere: a policy knows addresses and not names, and neither kas' nor the API server's address is
    known here or stays the same.
    """
    policy = values.network_policy
    tcp = dict.fromkeys((values.address.port, *policy.api_server_ports, *policy.other_ports))
    dns = dict.fromkeys(policy.dns_ports)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(values, NAME, namespace),
        "spec": {
            "podSelector": {"matchLabels": selector(values)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [_port(OBSERVABILITY_PORT)]}],
            "egress": [
                {"ports": [_port(port, protocol) for port in dns for protocol in ("UDP", "TCP")]},
                {"ports": [_port(port) for port in tcp]},
            ],
        },
    }


def _port(number: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"protocol": protocol, "port": number}


def _pod_metadata(values: Values) -> dict[str, Any]:
    annotations = {"annotations": dict(values.pod_annotations)} if values.pod_annotations else {}
    return {"labels": {**values.pod_labels, **selector(values)}, **annotations}


def _pod(values: Values) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": f"{values.name_prefix}{NAME}",
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(values)],
        "volumes": _volumes(values),
    }
    if values.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in values.image_pull_secrets]
    if values.priority_class_name:
        spec["priorityClassName"] = values.priority_class_name
    if values.replicas > 1:
        spec["topologySpreadConstraints"] = [_spread(values)]
    placing = {"nodeSelector": values.node_selector, "tolerations": values.tolerations, "affinity": values.affinity}
    return spec | {key: value for key, value in placing.items() if value}


def _spread(values: Values) -> dict[str, Any]:
    """Return the wish, no more, that no two replicas be on one node."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(values)},
    }


def _container(values: Values) -> dict[str, Any]:
    mounts = [
        {"name": "token", "mountPath": _TOKEN_MOUNT, "readOnly": True},
        # agentk bridges its websocket through a Unix socket in there.
        {"name": "tmp", "mountPath": _TEMPORARY},
    ]
    args = [
        "run",
        f"--kas-address={_literal(values.kas_address)}",
        f"--token-file={_TOKEN_MOUNT}/{TOKEN_KEY}",
        f"--observability-address=:{OBSERVABILITY_PORT}",
        f"--log-level={values.log_level}",
    ]
    if values.ca_cert:
        mounts.append({"name": "ca", "mountPath": _CA_MOUNT, "readOnly": True})
        args.append(f"--ca-cert-file={_CA_MOUNT}/{CA_KEY}")
    return {
        "name": "agentk",
        "image": values.full_image,
        "args": args,
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            *({"name": name, "value": _literal(value)} for name, value in sorted(values.env.items())),
        ],
        "ports": [{"name": "observability", "containerPort": OBSERVABILITY_PORT, "protocol": "TCP"}],
        "livenessProbe": _probe("/liveness"),
        "readinessProbe": _probe("/readiness"),
        "resources": values.resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "observability"}, "periodSeconds": 10, "timeoutSeconds": 5}


def _volumes(values: Values) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        {"name": "token", "secret": {"secretName": token_secret(values)}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
    ]
    if values.ca_cert:
        volumes.append({"name": "ca", "configMap": {"name": f"{values.name_prefix}{CA_CONFIG_MAP}"}})
    return volumes


def _literal(text: str) -> str:
    """Return what Kubernetes hands on as ``text``: it replaces ``$(NAME)`` in arguments and variables."""
    return text.replace("$(", "$$(")
